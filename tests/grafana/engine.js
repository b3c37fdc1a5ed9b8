// Panels as Grafana computes them: queries become frames as in its Prometheus data source, then its own code
// transforms them, applies the overrides, and formats. The module @grafana/data is a parameter, for Node or a browser.

/** The properties that a kind of panel adds to a field, as far as the dashboard uses them. */
const CUSTOM = {
  barchart: ["fillOpacity", "lineWidth"],
  stat: [],
  table: ["align", "cellOptions", "hidden", "minWidth", "width"],
  timeseries: ["fillOpacity", "lineInterpolation", "lineWidth", "pointSize", "showPoints", "stacking"],
};

/** Replace the dashboard's variables, and those of links, in a text. */
export function interpolated(text, variables, scope = {}) {
  const { field, frame, rowIndex } = scope.__dataContext?.value ?? {};
  return text.replace(/\$\{([^}]+)\}|\$([a-z_]+)/g, (all, braced, bare) => {
    const [name, form] = (braced ?? bare).split(":");
    if (name === "__value.raw") return field.values[rowIndex];
    if (name.startsWith("__data.fields.")) {
      return frame.fields.find((each) => each.config.displayName === name.slice(14)).values[rowIndex];
    }
    if (form === "text") return variables[`${name}:text`];
    if (!(name in variables)) return all;
    return form === "queryparam" ? `var-${name}=${encodeURIComponent(variables[name])}` : variables[name];
  });
}

/** Return the frames of a panel, transformed and configured, ready to be drawn. */
export async function computed(grafana, rxjs, panel, { url, variables, range, theme, timeZone }) {
  const replaced = (text, scope) => interpolated(text, variables, scope);
  const answers = await Promise.all(panel.targets.map((target) => fetchResult(url, target, replaced, range)));
  const answered = answers.filter(({ series }) => series.length > 0);
  const frames = answered.flatMap((answer) =>
    answer.target.format === "table"
      ? [tableOf(grafana, answer, answered.length > 1)]
      : answer.series.map((series) => lineOf(grafana, answer.target, series)),
  );
  const transformed = await rxjs.firstValueFrom(
    grafana.transformDataFrame(panel.transformations ?? [], frames, { interpolate: replaced }),
  );
  return grafana.applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registry(grafana, panel),
    replaceVariables: replaced,
    theme,
    timeZone,
  });
}

/** Register Grafana's transformations; once for each process. */
export function prepare(grafana) {
  const known = Object.values(grafana.standardTransformers).filter((transformer) => transformer?.id);
  const unique = [...new Map(known.map((transformer) => [transformer.id, transformer])).values()];
  grafana.standardTransformersRegistry.setInit(() =>
    unique.map((transformer) => ({ id: transformer.id, name: transformer.name, transformation: transformer })),
  );
}

async function fetchResult(url, target, replaced, { from, to, step }) {
  const [path, times] = target.instant
    ? ["query", { time: to }]
    : ["query_range", { start: Math.ceil(from / step) * step, end: Math.floor(to / step) * step, step }];
  const query = new URLSearchParams({ query: replaced(target.expr), ...times });
  const answer = await (await fetch(`${url}/api/v1/${path}?${query}`)).json();
  if (answer.status !== "success") throw new Error(`${answer.error}: ${target.expr}`);
  return { target, series: answer.data.result };
}

/** A table as the data source makes it: the time, the labels in their order, the value. */
function tableOf(grafana, { target, series }, several) {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return grafana.toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: "time", values: series.map(({ value }) => value[0] * 1000) },
      ...labels.map((label) => ({ name: label, type: "string", values: series.map(({ metric }) => metric[label] ?? "") })),
      { name: several ? `Value #${target.refId}` : "Value", type: "number", values: series.map(({ value }) => Number(value[1])) },
    ],
  });
}

function lineOf(grafana, target, { metric, values }) {
  const name = grafana.renderLegendFormat(target.legendFormat, metric);
  return grafana.toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: "time", values: values.map(([time]) => time * 1000) },
      {
        name: "Value",
        type: "number",
        labels: metric,
        config: { displayNameFromDS: name },
        values: values.map(([, value]) => Number(value)),
      },
    ],
  });
}

/** JSON has no -Infinity: Grafana puts it back when it loads a dashboard. */
function lowest(thresholds) {
  return thresholds && { ...thresholds, steps: thresholds.steps.map((step) => ({ ...step, value: step.value ?? -Infinity })) };
}

/** The properties that a field can have; one that no override should name is an error, where Grafana only ignores it. */
function registry(grafana, panel) {
  const process = {
    color: grafana.identityOverrideProcessor,
    decimals: grafana.numberOverrideProcessor,
    displayName: grafana.displayNameOverrideProcessor,
    links: grafana.dataLinksOverrideProcessor,
    mappings: grafana.valueMappingsOverrideProcessor,
    max: grafana.numberOverrideProcessor,
    min: grafana.numberOverrideProcessor,
    noValue: grafana.identityOverrideProcessor,
    thresholds: lowest,
    unit: grafana.unitOverrideProcessor,
  };
  const known = new grafana.FieldConfigOptionsRegistry();
  for (const path of [...Object.keys(process), ...CUSTOM[panel.type]]) {
    const isCustom = !(path in process);
    const id = isCustom ? `custom.${path}` : path;
    const read = process[path] ?? grafana.identityOverrideProcessor;
    known.register({ id, path, name: id, isCustom, process: read, override: read, shouldApply: () => true, settings: {} });
  }
  const { defaults, overrides } = panel.fieldConfig;
  for (const name of Object.keys(defaults)) name === "custom" || known.get(name);
  for (const name of Object.keys(defaults.custom ?? {})) known.get(`custom.${name}`);
  for (const { id } of overrides.flatMap(({ properties }) => properties)) known.get(id);
  return known;
}

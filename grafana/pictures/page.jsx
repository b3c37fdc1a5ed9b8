// Draws the dashboard with Grafana's own data engine and components. The query of the URL selects what is drawn:
// ?theme=light&from=SECONDS&to=SECONDS&step=SECONDS&app=APPID&name=NAME&prometheus=URL&rows=0,1&width=PIXELS

import * as grafana from "@grafana/data";
import { BigValue, GlobalStyles, PanelChrome, Table, TimeSeries } from "@grafana/ui";
import { createRoot } from "react-dom/client";
import * as rxjs from "rxjs";
import { computed, interpolated, prepare } from "../../tests/grafana/engine.js";
import dashboard from "../wechat-miniprogram.json";
import { Bars } from "./bars.jsx";

const CELL = 38; // a row of Grafana's grid with its gap, in pixels
const GAP = 8;

const query = Object.fromEntries(new URLSearchParams(location.search));
const range = { from: Number(query.from), to: Number(query.to), step: Number(query.step) };
const theme = grafana.createTheme({ colors: { mode: query.theme } });
const timeRange = grafana.makeTimeRange(grafana.dateTime(range.from * 1000), grafana.dateTime(range.to * 1000));
const variables = {
  app: query.app,
  appid: ".+",
  datasource: "prometheus",
  job: ".+",
  __range: `${range.to - range.from}s`,
  __rate_interval: `${4 * range.step}s`,
  "app:text": query.name,
};

prepare(grafana);
grafana.setTimeZoneResolver(() => dashboard.timezone);

/** The panels of the requested rows at their positions, the first row at the top. */
function chosen() {
  const rows = query.rows.split(",").map(Number);
  let row = -1;
  let top = null;
  return dashboard.panels.flatMap((panel) => {
    if (panel.type === "row") row += 1;
    if (!rows.includes(row)) return [];
    top ??= panel.gridPos.y;
    return [{ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y - top } }];
  });
}

/** The moments and colours of the annotations. */
async function marks() {
  const found = dashboard.annotations.list.map(async ({ expr, iconColor }) => {
    const target = { expr, format: "time_series", legendFormat: "", refId: "Anno" };
    const panel = { type: "timeseries", targets: [target], fieldConfig: { defaults: {}, overrides: [] } };
    const frames = await computed(grafana, rxjs, panel, { ...options, theme });
    const moments = new Set(frames.flatMap((frame) => frame.fields[1].values));
    return [...moments].map((moment) => ({ moment, colour: theme.visualization.getColorByName(iconColor) }));
  });
  return (await Promise.all(found)).flat();
}

const options = { url: query.prometheus, variables, range, timeZone: dashboard.timezone };

function Lines({ panel, frames, moments, width, height }) {
  return (
    <TimeSeries
      frames={frames}
      timeRange={timeRange}
      timeZone={dashboard.timezone}
      width={width}
      height={height}
      legend={panel.options.legend}
      options={panel.options}
    >
      {(builder) => {
        builder.addHook("draw", (plot) => {
          plot.ctx.save();
          plot.ctx.setLineDash([4, 4]);
          const { min, max } = plot.scales.x;
          for (const { moment, colour } of moments.filter((each) => each.moment >= min && each.moment <= max)) {
            plot.ctx.strokeStyle = colour;
            const x = plot.valToPos(moment, "x", true);
            plot.ctx.beginPath();
            plot.ctx.moveTo(x, plot.bbox.top);
            plot.ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
            plot.ctx.stroke();
          }
          plot.ctx.restore();
        });
        return null;
      }}
    </TimeSeries>
  );
}

/** Large numbers side by side, as Grafana's panel "stat" places them. */
function Numbers({ panel, frame, width, height }) {
  const { colorMode, graphMode, justifyMode, textMode } = panel.options;
  const fields = frame.fields.filter(({ type }) => type === "number");
  const values = fields.map((field) => ({ ...field.display(field.values[0]), title: grafana.getFieldDisplayName(field, frame) }));
  return (
    <div style={{ display: "flex" }}>
      {values.map((value) => (
        <BigValue
          key={value.title}
          value={value}
          width={width / values.length}
          height={height}
          {...{ colorMode, graphMode, justifyMode, textMode, theme }}
        />
      ))}
    </div>
  );
}

function Content({ panel, frames, moments, width, height }) {
  // As in Grafana: the Prometheus of the pictures evaluates no rules, so that no alert fires.
  if (!frames.length) {
    const text = panel.fieldConfig.defaults.noValue ?? "No data";
    return <p style={{ textAlign: "center", lineHeight: `${height}px`, margin: 0 }}>{text}</p>;
  }
  if (panel.type === "table") return <Table data={frames[0]} width={width} height={height} cellHeight="sm" />;
  if (panel.type === "stat") return <Numbers panel={panel} frame={frames[0]} width={width} height={height} />;
  if (panel.type === "barchart") {
    return <Bars frame={frames[0]} options={panel.options} width={width} height={height} />;
  }
  return <Lines panel={panel} frames={frames} moments={moments} width={width} height={height} />;
}

function Panel({ panel, frames, moments }) {
  const { x, y, w, h } = panel.gridPos;
  const column = (Number(query.width) - 2 * GAP) / 24;
  const place = { position: "absolute", left: GAP + x * column, top: GAP + y * CELL };
  if (panel.type === "row") {
    return <h5 style={{ ...place, lineHeight: "30px" }}>⌄ {interpolated(panel.title, variables)}</h5>;
  }
  return (
    <div style={place}>
      <PanelChrome
        title={panel.title}
        description={panel.description}
        width={w * column - GAP}
        height={h * CELL - GAP}
        padding={panel.type === "table" ? "none" : "md"}
      >
        {(width, height) => <Content {...{ panel, frames, moments, width, height }} />}
      </PanelChrome>
    </div>
  );
}

const panels = chosen();
const moments = await marks();
const drawn = await Promise.all(
  panels.map(async (panel) => ({ panel, frames: panel.targets ? await computed(grafana, rxjs, panel, { ...options, theme }) : [] })),
);
const bottom = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
createRoot(document.getElementById("root")).render(
  <grafana.ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <div style={{ background: theme.colors.background.canvas, height: bottom * CELL + GAP, position: "relative" }}>
      {drawn.map(({ panel, frames }) => (
        <Panel key={panel.id} {...{ panel, frames, moments }} />
      ))}
    </div>
  </grafana.ThemeContext.Provider>,
);

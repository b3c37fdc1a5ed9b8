// Grafana's bar chart is a plugin of its server, so these bars are drawn by hand: groups along the x axis, one bar for
// each figure, side by side or stacked, in the colours and texts that Grafana's data engine computed.

import { getFieldDisplayName, getFieldSeriesColor, formattedValueToString } from "@grafana/data";
import { useTheme2, VizLegend } from "@grafana/ui";

const LEFT = 56;
const BOTTOM = 22;
const LEGEND_HEIGHT = 34;
const LEGEND_WIDTH = 200;
const NAMES = 170; // of the groups of horizontal bars

export function Bars({ frame, options, width, height }) {
  const theme = useTheme2();
  const [labels, ...figures] = frame.fields;
  const colours = figures.map((field) => getFieldSeriesColor(field, theme).color);
  const items = figures.map((field, number) => ({
    label: getFieldDisplayName(field, frame),
    color: colours[number],
    yAxis: 1,
  }));
  const Plot = options.orientation === "horizontal" ? HorizontalBars : VerticalBars;
  const text = { fill: theme.colors.text.primary, fontSize: 12, fontFamily: theme.typography.fontFamily };
  const line = theme.colors.border.weak;
  const { placement } = options.legend;
  const plot = placement === "right" ? { width: width - LEGEND_WIDTH, height } : { width, height: height - LEGEND_HEIGHT };
  return (
    <div style={{ display: placement === "right" ? "flex" : "block" }}>
      <svg {...plot}>
        <Plot {...{ labels, figures, colours, options, text, line }} {...plot} />
      </svg>
      <VizLegend items={items} displayMode="list" placement={placement} />
    </div>
  );
}

function VerticalBars({ labels, figures, colours, options, text, line, width, height }) {
  const stacked = options.stacking === "normal";
  const top = ticks(highest(figures, stacked));
  const plot = { width: width - LEFT - 8, height: height - BOTTOM - 8 };
  const y = (value) => 8 + plot.height * (1 - value / top.at(-1));
  const group = plot.width / labels.values.length;
  const every = Math.ceil(options.xTickLabelSpacing / group) || 1;
  return (
    <>
      {top.map((value) => (
        <g key={value}>
          <line x1={LEFT} x2={width - 8} y1={y(value)} y2={y(value)} stroke={line} />
          <text x={LEFT - 8} y={y(value) + 4} textAnchor="end" {...text}>
            {formattedValueToString(figures[0].display(value))}
          </text>
        </g>
      ))}
      {labels.values.map((label, place) => (
        <g key={label} transform={`translate(${LEFT + group * (place + 0.1)} 0)`}>
          {bars(figures, place, stacked, group * 0.8).map(({ x, width, from, to }, number) => (
            <rect key={number} x={x} width={width} y={y(to)} height={y(from) - y(to)} fill={colours[number]} />
          ))}
          {place % every === 0 && (
            <text x={group * 0.4} y={height - 6} textAnchor="middle" {...text}>
              {formattedValueToString(labels.display(label))}
            </text>
          )}
        </g>
      ))}
    </>
  );
}

/** The first group at the top, as in Grafana; bars side by side only. */
function HorizontalBars({ labels, figures, colours, text, line, width, height }) {
  const end = ticks(highest(figures, false));
  const plot = { width: width - NAMES - 24, height: height - BOTTOM };
  const x = (value) => NAMES + (plot.width * value) / end.at(-1);
  const group = plot.height / labels.values.length;
  return (
    <>
      {end.map((value) => (
        <g key={value}>
          <line x1={x(value)} x2={x(value)} y1={0} y2={plot.height} stroke={line} />
          <text x={x(value)} y={height - 6} textAnchor="middle" {...text}>
            {formattedValueToString(figures[0].display(value))}
          </text>
        </g>
      ))}
      {labels.values.map((label, place) => (
        <g key={label} transform={`translate(0 ${group * (place + 0.1)})`}>
          {bars(figures, place, false, group * 0.8).map((bar, number) => (
            <rect key={number} x={NAMES} width={x(bar.to) - NAMES} y={bar.x} height={bar.width} fill={colours[number]} />
          ))}
          <text x={NAMES - 8} y={group * 0.4 + 4} textAnchor="end" {...text}>
            {formattedValueToString(labels.display(label))}
          </text>
        </g>
      ))}
    </>
  );
}

function bars(figures, place, stacked, width) {
  let from = 0;
  return figures.map((field, number) => {
    const value = field.values[place] ?? 0;
    if (!stacked) {
      const own = width / figures.length;
      return { x: own * (number + 0.05), width: own * 0.9, from: 0, to: value };
    }
    from += value;
    return { x: 0, width, from: from - value, to: from };
  });
}

function highest(figures, stacked) {
  const sums = figures[0].values.map((_, place) => figures.reduce((sum, field) => sum + (field.values[place] ?? 0), 0));
  return Math.max(...(stacked ? sums : figures.flatMap((field) => field.values.filter((value) => value != null))));
}

/** Round values from zero to the first one that nothing exceeds. */
function ticks(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, place) => place * step);
}

// Grafana's bar chart is a plugin of its server, so these bars are drawn by hand: groups along the x axis, one bar for
// each figure, side by side or stacked, in the colours and texts that Grafana's data engine computed.

import { getFieldDisplayName, getFieldSeriesColor, formattedValueToString } from "@grafana/data";
import { useTheme2, VizLegend } from "@grafana/ui";

const LEFT = 56;
const BOTTOM = 22;
const LEGEND = 34;
const SPACING = 50; // as configured in the dashboard: closer labels are omitted

export function Bars({ frame, stacked, width, height }) {
  const theme = useTheme2();
  const [labels, ...figures] = frame.fields;
  const colours = figures.map((field) => getFieldSeriesColor(field, theme).color);
  const top = ticks(highest(figures, stacked));
  const plot = { width: width - LEFT - 8, height: height - BOTTOM - LEGEND - 8 };
  const y = (value) => 8 + plot.height * (1 - value / top.at(-1));
  const group = plot.width / frame.length;
  const every = Math.ceil(SPACING / group);
  const text = { fill: theme.colors.text.primary, fontSize: 12, fontFamily: theme.typography.fontFamily };
  const items = figures.map((field, number) => ({
    label: getFieldDisplayName(field, frame),
    color: colours[number],
    yAxis: 1,
  }));
  return (
    <>
      <svg width={width} height={height - LEGEND}>
        {top.map((value) => (
          <g key={value}>
            <line x1={LEFT} x2={width - 8} y1={y(value)} y2={y(value)} stroke={theme.colors.border.weak} />
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
              <text x={group * 0.4} y={height - LEGEND - 6} textAnchor="middle" {...text}>
                {formattedValueToString(labels.display(label))}
              </text>
            )}
          </g>
        ))}
      </svg>
      <VizLegend items={items} displayMode="list" placement="bottom" />
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

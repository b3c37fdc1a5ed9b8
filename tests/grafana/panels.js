// Reads {dashboard, url, variables, range, timeZone} from standard input and writes every panel as Grafana computes it:
// the columns of its tables and bars with their texts and colours, the names of its lines.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { computed, prepare } from "./engine.js";

// The browser globals that @grafana/data reads when it is loaded.
globalThis.window = globalThis;
globalThis.document = { createElement: () => ({ style: {} }), documentElement: { style: {} }, addEventListener() {} };
globalThis.location = { origin: "http://localhost", hostname: "localhost", href: "http://localhost/", search: "" };
globalThis.localStorage = { getItem: () => null, setItem() {} };
globalThis.matchMedia = () => ({ matches: false, addEventListener() {} });
globalThis.addEventListener = () => {};

const require = createRequire(import.meta.url); // its CommonJS form: the other one is for bundlers
const grafana = require("@grafana/data");
const rxjs = require("rxjs");
const NAMES = ["text", "green", "blue", "purple", "orange", "red"];

const hex = grafana.colorManipulator.asHexString;
const { dashboard, ...options } = JSON.parse(readFileSync(0, "utf8"));
const theme = grafana.createTheme();
const colourNames = new Map(NAMES.map((name) => [hex(theme.visualization.getColorByName(name)), name]));

function column(field, frame, frames) {
  const { type } = field.config.custom?.cellOptions ?? {};
  return {
    title: grafana.getFieldDisplayName(field, frame, frames),
    hidden: field.config.custom?.hidden ?? false,
    colour: field.config.color?.fixedColor ?? null,
    cells: field.values.map((value, rowIndex) => {
      const shown = field.display(value);
      const links = field.getLinks({ valueRowIndex: rowIndex }).map(({ href }) => href);
      const colour = type === "color-text" && value != null ? colourNames.get(hex(shown.color)) : null;
      const background = type === "color-background" && value != null ? shown.color : null;
      return { value, text: grafana.formattedValueToString(shown), colour, background, links };
    }),
  };
}

prepare(grafana);
const panels = {};
for (const panel of dashboard.panels.filter(({ type }) => type !== "row")) {
  const frames = await computed(grafana, rxjs, panel, { ...options, theme });
  panels[panel.title] = frames.map((frame) => frame.fields.map((field) => column(field, frame, frames)));
}
process.stdout.write(JSON.stringify(panels));

/** The result as a plain SVG: one group of horizontal bars per load, one scale for all of them; without what is about budgets only. Pure. */
import type { Report } from "./report.ts";
import { micros } from "./table.ts";

const colours: Readonly<Record<string, string>> = {
  "llm-router": "#1b7f3b",
  "llm-router lastWins": "#6fb98a",
  "llm-gateway": "#0b5d2a",
  "llm-gateway limited": "#3c8f5d",
  "llm-gateway all": "#14532d",
  local_ratelimit: "#999999",
  go: "#2b83ba",
  lua: "#7b5ea7",
  ai_protocol_manager: "#e08a1e",
  json_to_metadata: "#b59b00",
  ext_proc: "#c0392b",
};
const otherColour = "#666666";

/** Below this many µs the scale is linear, above it logarithmic: a cost of nothing must have a place on it too. */
const linearUpTo = 10;

/** Symmetric-log position without unit: 0 at 0 µs (and below), 1 at 10 µs, then 1 more for every factor of ten. */
export function position(value: number): number {
  if (value <= 0) return 0;
  return value <= linearUpTo ? value / linearUpTo : 1 + Math.log10(value / linearUpTo);
}

const width = 900;
const labelWidth = 160;
const plotWidth = 650;
const barHeight = 14;
const rowHeight = 18;
const groupGap = 40;
const top = 78;

const escaped = (text: string): string => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

export function svg(report: Report): string {
  const loads = report.loads.filter(({ family }) => family !== "limits");
  const arms = report.arms.filter(({ name, family }) => family !== "limits" && name !== "bare").map(({ name }) => name);
  const shown = report.summaries.filter(
    ({ arm, load }) => arms.includes(arm) && loads.some(({ name }) => name === load),
  );
  const values = shown.flatMap(({ overBare }) => (overBare === undefined ? [] : [overBare.median]));
  const decades = Math.max(Math.ceil(position(Math.max(...values, linearUpTo))), 2);
  const x = (value: number): number => labelWidth + (position(value) / decades) * plotWidth;
  const groupHeight = arms.length * rowHeight + groupGap;
  const height = top + loads.length * groupHeight + 20;
  const out: string[] = [];
  const label = (left: number, y: number, content: string, more = ""): void => {
    out.push(`<text x="${left.toFixed(1)}" y="${y.toFixed(1)}"${more}>${escaped(content)}</text>`);
  };
  label(
    16,
    26,
    "CPU time over bare Envoy, µs per request (median of paired differences)",
    ' font-size="16" font-weight="bold"',
  );
  const note = `Envoy ${report.envoy}, ${report.settings.rounds} rounds; linear up to ${linearUpTo} µs, logarithmic above; shorter is better`;
  label(16, 46, note, ' fill="#555555"');
  const bottom = height - 30;
  for (let decade = 0; decade <= decades; decade++) {
    const value = decade === 0 ? 0 : linearUpTo * 10 ** (decade - 1);
    const at = x(value).toFixed(1);
    out.push(`<line x1="${at}" y1="${top - 12}" x2="${at}" y2="${bottom}" stroke="#dddddd"/>`);
    label(x(value), top - 16, micros(value), ' fill="#555555" text-anchor="middle"');
  }
  for (const [group, { name, title }] of loads.entries()) {
    const y = top + group * groupHeight;
    label(16, y + 14, title, ' font-weight="bold"');
    for (const [row, arm] of arms.entries()) {
      const over = shown.find((one) => one.arm === arm && one.load === name)?.overBare;
      if (over === undefined) continue;
      const barY = y + 22 + row * rowHeight;
      const end = x(over.median);
      label(labelWidth - 8, barY + 11, arm, ' text-anchor="end"');
      out.push(
        `<rect x="${labelWidth}" y="${barY}" width="${(end - labelWidth).toFixed(1)}" height="${barHeight}" fill="${colours[arm] ?? otherColour}"/>`,
      );
      label(end + 6, barY + 11, micros(over.median));
    }
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="#222222">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...out,
    "</svg>",
    "",
  ].join("\n");
}

/** Results as plain SVG: for each scenario the policies by hit share and TTFT p99, to the upper left is better. Pure. */
import type { Plan } from "./plan.ts";
import type { Result } from "./run-plan.ts";

const width = 900;
const height = 560;
const frame = { left: 70, right: 640, top: 70, bottom: 500 };
const ours = "#1b7f3b";
const colours = ["#c0392b", "#2b83ba", "#7b5ea7", "#e08a1e", "#b59b00", "#0f7f83", "#8c5a2b", "#666666"];

/** ms of the logarithmic axis; what is slower, or has collapsed, stands at its upper end. */
const axis = { from: 20, to: 50_000 };

const escaped = (text: string): string => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** 0 at the lower end of the axis, 1 at the upper. */
function height01(millis: number): number {
  const at = Math.log(millis / axis.from) / Math.log(axis.to / axis.from);
  return Math.min(1, Math.max(0, at));
}

/** One file for each scenario of the sections that are plotted. */
export function plots(plan: Plan, results: readonly Result[]): { file: string; svg: string }[] {
  return plan
    .filter(({ plotted }) => plotted)
    .flatMap(({ title, scenarios }) =>
      scenarios.flatMap(({ name, title: what }) => {
        const own = results.filter(({ section, scenario }) => section === title && scenario === name);
        const file = name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
        return own.length === 0 ? [] : [{ file, svg: plot(`${name}: ${what}`, own) }];
      }),
    );
}

function plot(title: string, results: readonly Result[]): string {
  const hits = results.map(({ mean }) => (mean.collapsed ? 0 : mean.hit));
  const most = Math.max(...hits) === 0 ? 1 : 100;
  const x = (hit: number): number => frame.left + (hit / most) * (frame.right - frame.left);
  const y = (millis: number): number => frame.bottom - height01(millis) * (frame.bottom - frame.top);
  const out: string[] = [];
  const label = (left: number, top: number, text: string, more = ""): void => {
    out.push(`<text x="${left.toFixed(1)}" y="${top.toFixed(1)}"${more}>${escaped(text)}</text>`);
  };
  label(16, 26, title, ' font-size="16" font-weight="bold"');
  label(
    16,
    46,
    "TTFT p99 (ms, logarithmic) over cached share of prompt tokens (%); collapsed ones at the top",
    ' fill="#555555"',
  );
  for (const millis of [20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000]) {
    const at = y(millis).toFixed(1);
    out.push(`<line x1="${frame.left}" y1="${at}" x2="${frame.right}" y2="${at}" stroke="#dddddd"/>`);
    label(frame.left - 8, y(millis) + 4, millis.toLocaleString("en-US"), ' fill="#555555" text-anchor="end"');
  }
  for (const hit of most === 1 ? [0] : [0, 20, 40, 60, 80, 100]) {
    label(x(hit), frame.bottom + 20, String(hit), ' fill="#555555" text-anchor="middle"');
  }
  for (const [index, { row, mean }] of results.entries()) {
    const mine = row.policy === "ours";
    const colour = mine ? ours : (colours[index % colours.length] ?? "#666666");
    const [left, top] = [x(mean.collapsed ? 0 : mean.hit), y(mean.collapsed ? axis.to : mean.ttft99)];
    out.push(
      `<circle cx="${left.toFixed(1)}" cy="${top.toFixed(1)}" r="${mine ? 8 : 6}" fill="${colour}" fill-opacity="0.8"/>`,
    );
    label(left, top + 3.5, String(index + 1), ' fill="#ffffff" font-size="9" text-anchor="middle"');
    const line = frame.top + 10 + index * 22;
    out.push(`<circle cx="${frame.right + 24}" cy="${line - 4}" r="8" fill="${colour}"/>`);
    label(frame.right + 24, line, String(index + 1), ' fill="#ffffff" font-size="10" text-anchor="middle"');
    label(
      frame.right + 38,
      line,
      `${row.label}${mean.collapsed ? " (collapsed)" : ""}`,
      mine ? ' font-weight="bold"' : "",
    );
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="#222222">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...out,
    "</svg>",
    "",
  ].join("\n");
}

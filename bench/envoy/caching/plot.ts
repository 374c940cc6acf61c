/** The result as a plain SVG: one group of horizontal bars per load of hits, with intervals. Pure. */
import { type CachingReport, goal, summariseCaching } from "./report.ts";

const colours: Readonly<Record<string, string>> = {
  "prompt-cache": "#1b7f3b",
  "llm-gateway": "#0b5d2a",
  cache: "#2b83ba",
  cache_v2: "#7fb6d9",
  "Redis proxy": "#e08a1e",
  "Redis ext_proc": "#c0392b",
};
const otherColour = "#666666";

const width = 900;
const labelWidth = 160;
const plotWidth = 640;
const barHeight = 12;
const rowHeight = 15;
const groupGap = 34;
const top = 84;

const escaped = (text: string): string => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** CPU of the hits over that of the first arm. */
export function cachingSvg(report: CachingReport): string {
  const { loads } = report.hits;
  const arms = report.hits.arms.slice(1).map(({ name }) => name);
  const summaries = summariseCaching(report).filter(({ cpuRatio }) => cpuRatio !== undefined);
  const shown = loads.map(({ name, title }) => ({ title, rows: summaries.filter(({ load }) => load === name) }));
  const values = shown.flatMap(({ rows }) => rows.map(({ cpuRatio }) => cpuRatio?.median ?? 0));
  const most = Math.max(2, Math.ceil(Math.max(...values)));
  const x = (value: number): number => labelWidth + (Math.min(value, most) / most) * plotWidth;
  const groupHeight = arms.length * rowHeight + groupGap;
  const bottom = top + shown.length * groupHeight;
  const out: string[] = [];
  const label = (left: number, y: number, content: string, more = ""): void => {
    out.push(`<text x="${left.toFixed(1)}" y="${y.toFixed(1)}"${more}>${escaped(content)}</text>`);
  };
  const base = report.hits.arms[0]?.name ?? "";
  label(16, 26, `CPU time of an answer that is given again, times ${base}`, ' font-size="16" font-weight="bold"');
  label(16, 46, "median and 95 % interval of the ratios in the same round; shorter is better", ' fill="#555555"');
  const marks = [...Array.from({ length: most + 1 }, (_, value) => value), goal];
  for (const value of marks) {
    const at = x(value).toFixed(1);
    const colour = value === goal ? "#c0392b" : "#dddddd";
    out.push(`<line x1="${at}" y1="${top - 12}" x2="${at}" y2="${bottom}" stroke="${colour}"/>`);
    if (value !== goal) label(x(value), top - 16, String(value), ' fill="#555555" text-anchor="middle"');
  }
  for (const [group, { title, rows }] of shown.entries()) {
    const y = top + group * groupHeight;
    label(16, y + 12, title, ' font-weight="bold"');
    for (const [row, arm] of arms.entries()) {
      const ratio = rows.find((one) => one.arm === arm)?.cpuRatio;
      if (ratio === undefined) continue;
      const barY = y + 18 + row * rowHeight;
      const end = x(ratio.median);
      label(labelWidth - 8, barY + 10, arm, ' text-anchor="end"');
      out.push(
        `<rect x="${labelWidth}" y="${barY}" width="${(end - labelWidth).toFixed(1)}" height="${barHeight}" fill="${colours[arm] ?? otherColour}"/>`,
      );
      if (Number.isFinite(ratio.lower) && Number.isFinite(ratio.upper)) {
        const middle = barY + barHeight / 2;
        out.push(
          `<line x1="${x(ratio.lower).toFixed(1)}" y1="${middle}" x2="${x(ratio.upper).toFixed(1)}" y2="${middle}" stroke="#222222"/>`,
        );
      }
      label(
        x(Math.max(ratio.median, Number.isFinite(ratio.upper) ? ratio.upper : 0)) + 6,
        barY + 10,
        ratio.median.toFixed(2),
      );
    }
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 20}" width="${width}" height="${bottom + 20}" font-family="sans-serif" font-size="12" fill="#222222">`,
    `<rect width="${width}" height="${bottom + 20}" fill="#ffffff"/>`,
    ...out,
    "</svg>",
    "",
  ].join("\n");
}

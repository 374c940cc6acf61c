/** Figures and tables in Markdown. */

/** Whole µs with thousands separated: "1,234". */
export const micros = (value: number): string => {
  const rounded = Math.round(value);
  return (rounded === 0 ? 0 : rounded).toLocaleString("en-US");
};

/** Text on the left, figures on the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = head.map((title, index) => (index === 0 || title === "how" ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

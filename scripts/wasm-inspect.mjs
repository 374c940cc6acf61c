// Prints what a host sees of each module: size, sections, imports, exports, and what the gate says.
//   npm run wasm:inspect [file.wasm ...]      default: every module of build/filters
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { root } from "./lib/stamp.mjs";
import { inspect, violations } from "./lib/wasm-gate.mjs";

const signature = ({ kind, params, results }) =>
  params ? `(${params.join(", ")})${results.length > 0 ? ` -> ${results.join(", ")}` : ""}` : kind;

const built = resolve(root, "build/filters");
const given = process.argv.slice(2);
const files =
  given.length > 0
    ? given
    : existsSync(built)
      ? readdirSync(built)
          .filter((name) => name.endsWith(".wasm"))
          .map((name) => resolve(built, name))
      : [];
if (files.length === 0) {
  console.error("wasm:inspect: no modules in build/filters; run `npm run build:filters` or name files");
  process.exit(2);
}

let failed = false;
for (const file of files) {
  let report;
  try {
    report = inspect(readFileSync(file));
  } catch (error) {
    console.error(`${file}: ${error.message}`);
    failed = true;
    continue;
  }
  const { size, sections, customSections, memory, hasStart } = report;
  console.log(`${file}\n  size      ${size} bytes`);
  console.log(
    `  memory    ${memory ? `${memory.min}..${memory.max ?? "unbounded"} pages of 64 KiB` : "none of its own"}`,
  );
  console.log(`  start     ${hasStart ? "yes" : "no"}`);
  console.log(`  sections  ${sections.map((section) => `${section.name} ${section.size}`).join(", ")}`);
  if (customSections.length > 0) console.log(`  custom    ${customSections.join(", ")}`);
  console.log(`  imports (${report.imports.length})`);
  for (const entry of report.imports) console.log(`    ${entry.module}.${entry.name}${signature(entry)}`);
  console.log(`  exports (${report.exports.length})`);
  for (const entry of report.exports) console.log(`    ${entry.name} ${signature(entry)}`);
  const faults = violations(report);
  console.log(
    faults.length === 0
      ? "  gate      passes"
      : `  gate      REFUSED\n${faults.map((fault) => `    ${fault}`).join("\n")}`,
  );
  failed ||= faults.length > 0;
}
process.exit(failed ? 1 : 0);

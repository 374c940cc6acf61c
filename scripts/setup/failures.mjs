// What failed here before, so that a machine without network does not pay for the same timeout on every `npm start`. Forgotten after a day.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { failuresFile, toolsDir } from "./places.mjs";

const validForMs = 24 * 3600 * 1000;

function read() {
  try {
    return existsSync(failuresFile) ? JSON.parse(readFileSync(failuresFile, "utf8")) : {};
  } catch {
    return {}; // cut off in the middle of a write: nothing is remembered
  }
}

/** Reason of a failure that is remembered, or undefined. `subject` says what exactly was tried: another subject is another attempt. */
export function failedBefore(name, subject) {
  const entry = read()[name];
  return entry?.subject === subject && Date.now() - entry.at < validForMs ? entry.reason : undefined;
}

export function remember(name, subject, reason) {
  mkdirSync(toolsDir, { recursive: true });
  writeFileSync(
    failuresFile,
    `${JSON.stringify({ ...read(), [name]: { subject, reason, at: Date.now() } }, null, 2)}\n`,
  );
}

export const forget = () => rmSync(failuresFile, { force: true });

/**
 * Gets a part that only tests need. `attempt` resolves to the reason when it cannot be had; then set-up goes on, and says so. `subject` says what exactly is
 * wanted: another subject is another attempt.
 */
export async function optional({ name, subject = "", what }, attempt) {
  const before = failedBefore(name, subject);
  const reason = before ?? (await attempt());
  if (reason === undefined) return;
  console.log(`setup: no ${what}, its tests will be skipped: ${reason}`);
  if (before !== undefined) console.log("setup: (failed before; `node scripts/setup.mjs --test --retry` tries again)");
  else remember(name, subject, reason);
}

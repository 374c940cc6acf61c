#!/usr/bin/env node
/**
 * The command line; `tokenmesh --help` lists its commands. Standard output carries results only; the log and what went wrong go to standard error. Exit codes:
 * 0 fine, 1 the configuration has errors, 2 the command itself failed, and of `apply --wait` 3 an Envoy rejected it, 4 not in time.
 */
import { CommanderError } from "commander";
import { boundYoungGeneration, holdYoungGeneration } from "./young-generation.ts";

holdYoungGeneration();
// Not before that: to load the code is most of a start.
const { createProgram } = await import("./cli/program.ts");

try {
  await createProgram().parseAsync();
  // A server is up now, and everything else is over.
  boundYoungGeneration();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    process.stderr.write(`tokenmesh: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode ??= 2;
  }
}

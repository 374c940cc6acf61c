/** The command line: which commands there are. */
import { Command } from "commander";
import { packageVersion } from "../package-version.ts";
import { addCacheCommands } from "../state/answers/cli.ts";
import { addLedgerCommands } from "../state/ledger/cli.ts";
import { addChangeCommands } from "./apply.ts";
import { addOpenapiCommand } from "./openapi.ts";
import { addReadCommands } from "./reading.ts";
import { addServeCommand } from "./serve.ts";
import { addWeightCommands } from "./weights.ts";

/** Throws CommanderError instead of ending the process. */
export function createProgram(): Command {
  const version = packageVersion();
  const program = new Command("tokenmesh")
    .description("xDS management server for LLM traffic in Envoy")
    .version(version)
    .exitOverride();
  addServeCommand(program);
  addChangeCommands(program);
  addReadCommands(program);
  addWeightCommands(program);
  addCacheCommands(program.command("cache").description("answers of the prompt cache: figures, and purging them"));
  addLedgerCommands(program.command("ledger").description("token budgets behind Envoy's Rate Limit Service"));
  addOpenapiCommand(program, version);
  program
    .command("version")
    .description("print the version")
    .action(() => {
      process.stdout.write(`${version}\n`);
    });
  return program;
}

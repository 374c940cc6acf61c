#!/usr/bin/env node
/**
 * The command line: `tokenmesh serve`, `tokenmesh validate`, `tokenmesh cache` and `tokenmesh ledger`. Standard output carries results only (the `ready` line,
 * validation errors and warnings); the log goes to standard error. Exit codes: 0 fine, 1 the configuration has errors, 2 the command itself failed.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Command, CommanderError, Option } from "commander";
import { formatError, parseConfig, readConfigFiles } from "./config/index.ts";
import { startServer } from "./index.ts";
import { jsonLogger, type LogLevel } from "./log.ts";
import { defaultWasmDir, type WasmDelivery } from "./resources/index.ts";
import {
  type AnswersCommandOptions,
  addAnswersOptions,
  addCacheCommands,
  answersOptions,
} from "./state/answers/cli.ts";
import { addLedgerCommands } from "./state/ledger/cli.ts";

interface ServeOptions extends AnswersCommandOptions {
  readonly config: string;
  readonly xds: string;
  readonly advertise?: string;
  readonly api: string;
  readonly wasm: WasmDelivery;
  readonly wasmDir?: string;
  readonly logLevel: LogLevel;
}

/** How long a shutdown may take before the process ends anyway. */
const SHUTDOWN_LIMIT_MS = 5_000;

async function serve(options: ServeOptions): Promise<void> {
  const log = jsonLogger(options.logLevel);
  const server = await startServer({
    configDir: options.config,
    xds: options.xds,
    api: options.api,
    wasm: options.wasm,
    answers: answersOptions(options),
    log,
    ...(options.wasmDir === undefined ? {} : { wasmDir: options.wasmDir }),
    ...(options.advertise === undefined ? {} : { advertise: options.advertise }),
  });
  const stop = () => {
    // A second signal, or a shutdown that hangs, ends the process at once.
    process.once("SIGINT", () => process.exit(2));
    process.once("SIGTERM", () => process.exit(2));
    setTimeout(() => process.exit(2), SHUTDOWN_LIMIT_MS).unref();
    server.close().then(
      () => process.exit(0),
      () => process.exit(2),
    );
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  await server.ready();
  const { xdsAddress, apiAddress } = server;
  process.stdout.write(`ready ${JSON.stringify({ xds: xdsAddress, api: `http://${apiAddress}` })}\n`);
}

function validate(paths: readonly string[]): void {
  const { files, errors } = readConfigFiles(paths);
  const result = parseConfig(files);
  const all = [...errors, ...(result.ok ? [] : result.errors)];
  for (const each of [...all, ...(result.ok ? result.warnings : [])]) process.stdout.write(`${formatError(each)}\n`);
  if (all.some(({ code }) => code === "TM_CONFIG_UNREADABLE")) process.exitCode = 2;
  else if (all.length > 0) process.exitCode = 1;
  else process.stdout.write(`${files.length} ${files.length === 1 ? "file" : "files"} valid\n`);
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(dirname(dirname(defaultWasmDir())), "package.json"), "utf8"));
  const version =
    typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : undefined;
  return typeof version === "string" ? version : "unknown";
}

const program = new Command("tokenmesh")
  .description("xDS management server for LLM traffic in Envoy")
  .version(packageVersion())
  .exitOverride();

const serving = program
  .command("serve")
  .description("serve the configuration of a folder to Envoys over ADS; prints `ready {...}` when it does")
  .requiredOption("--config <dir>", "folder of YAML files; watched")
  .option("--xds <host:port>", "address for Envoys; port 0 takes a free one", "127.0.0.1:0")
  .option("--advertise <host:port>", "where Envoys reach --xds, if not at that address (for the loads of endpoints)")
  .option("--api <host:port>", "address of the admin API; port 0 takes a free one", "127.0.0.1:0")
  .addOption(new Option("--wasm <how>", "how Envoy gets filter code").choices(["inline", "file"]).default("inline"))
  .option("--wasm-dir <dir>", "folder of the compiled filters (default: the package's own)");
addAnswersOptions(serving)
  .addOption(
    new Option("--log-level <level>", "least level that is logged")
      .choices(["debug", "info", "warn", "error"])
      .default("info"),
  )
  .action(serve);

program
  .command("validate")
  .description("check configuration files or folders; prints every error with file, line and column")
  .argument("<path...>")
  .action(validate);

addCacheCommands(program.command("cache").description("answers of the prompt cache: figures, and purging them"));
addLedgerCommands(program.command("ledger").description("token budgets behind Envoy's Rate Limit Service"));

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    process.stderr.write(`tokenmesh: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}

/** `tokenmesh ledger serve | show | set | add | reset | usage`. Results go to standard output, the log to standard error. */
import { appendFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { jsonLogger, type Logger, type LogLevel } from "../../log.ts";
import type { AuditEntry } from "./budget-admin.ts";
import { PERIODS } from "./calendar.ts";
import { type BudgetTarget, LedgerClient } from "./client.ts";
import { budgetText, entriesText, usageText } from "./report.ts";

interface ServeOptions {
  readonly config: string;
  readonly grpc: string;
  readonly admin: string;
  readonly redis?: string;
  readonly redisPrefix?: string;
  readonly storeTimeout: number;
  readonly maxKeys: number;
  readonly auditLog?: string;
  readonly logLevel: LogLevel;
}

interface ClientOptions {
  readonly api: string;
  readonly json?: boolean;
  readonly per?: string;
  readonly used?: number;
  readonly amount?: number;
  readonly day?: string;
  readonly by?: string;
}

const SHUTDOWN_LIMIT_MS = 5_000;
/** Secrets come from the environment: arguments are visible to every user of the machine. */
const TOKEN = "TOKENMESH_LEDGER_TOKEN";

const tokenOf = (): string | undefined => process.env[TOKEN] || undefined;

async function serve(options: ServeOptions): Promise<void> {
  const log = jsonLogger(options.logLevel);
  // Other commands, such as the xDS server, do without all that a ledger is made of.
  const [{ formatError }, { readLedgerConfig, startLedger }] = await Promise.all([
    import("../../config/index.ts"),
    import("./index.ts"),
  ]);
  const read = readLedgerConfig(options.config);
  if (!read.ok) {
    for (const error of read.errors) process.stderr.write(`${formatError(error)}\n`);
    process.exitCode = 1;
    return;
  }
  const { redis, redisPrefix, storeTimeout, maxKeys, auditLog } = options;
  const token = tokenOf();
  const ledger = await startLedger({
    config: read.config,
    grpc: options.grpc,
    admin: options.admin,
    maxKeys,
    log,
    ...(token === undefined ? {} : { token }),
    ...(auditLog === undefined ? {} : { audit: auditFile(auditLog, log) }),
    ...(redis === undefined
      ? {}
      : {
          redis: { url: redis, timeoutMs: storeTimeout, ...(redisPrefix === undefined ? {} : { prefix: redisPrefix }) },
        }),
  });
  process.on("SIGHUP", () => {
    const next = readLedgerConfig(options.config);
    if (next.ok) ledger.reconfigure(next.config);
    else for (const error of next.errors) log("error", formatError(error));
    log(next.ok ? "info" : "error", next.ok ? "configuration reloaded" : "configuration kept: the file has errors");
  });
  const stop = () => {
    process.once("SIGINT", () => process.exit(2));
    process.once("SIGTERM", () => process.exit(2));
    setTimeout(() => process.exit(2), SHUTDOWN_LIMIT_MS).unref();
    ledger.close().then(
      () => process.exit(0),
      () => process.exit(2),
    );
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const { grpcAddress: grpc, adminAddress } = ledger;
  process.stdout.write(`ready ${JSON.stringify({ grpc, admin: `http://${adminAddress}` })}\n`);
}

/** Written before the change is answered; a line is one write, so several ledgers may share a file. What cannot be written goes to the log. */
function auditFile(path: string, log: Logger): (entry: AuditEntry) => void {
  return (entry) => {
    try {
      appendFileSync(path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
    } catch (error) {
      log("error", "the audit log cannot be written", { error: String(error), audit: entry });
    }
  };
}

function whole(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("not a whole number");
}

function print(value: unknown, text: string, json: boolean | undefined): void {
  process.stdout.write(`${json === true ? JSON.stringify(value, undefined, 2) : text}\n`);
}

const client = ({ api }: ClientOptions): LedgerClient => new LedgerClient({ api, token: tokenOf() });
const target = (domain: string, entries: readonly string[], { per }: ClientOptions): BudgetTarget => ({
  domain,
  entries,
  per,
});

async function show(domain: string, entries: readonly string[], options: ClientOptions): Promise<void> {
  if (entries.length === 0) {
    const budgets = await client(options).budgets(domain);
    print(budgets, budgets.map(entriesText).join("\n"), options.json);
  } else {
    const budget = await client(options).show(target(domain, entries, options));
    print(budget, budgetText(budget), options.json);
  }
}

async function usage(domain: string, entries: readonly string[], options: ClientOptions): Promise<void> {
  const rows = await client(options).usage(domain, entries, options.day);
  print(rows, usageText(rows, options.by), options.json);
}

/** Adds the subcommands to `tokenmesh ledger`. */
export function addLedgerCommands(ledger: Command): void {
  ledger
    .command("serve")
    .description(
      "serve Envoy's Rate Limit Service; prints `ready {...}` when it does. SIGHUP reads the configuration again",
    )
    .requiredOption("--config <file>", "domains, patterns and limits (docs/token-ledger.md)")
    .option("--grpc <host:port>", "address for Envoys; port 0 takes a free one", "127.0.0.1:0")
    .option("--admin <host:port>", `address of the admin API (token: ${TOKEN}); port 0 takes a free one`, "127.0.0.1:0")
    .addOption(
      new Option(
        "--redis <url>",
        "keep budgets in Redis or Valkey instead of memory; several nodes of a cluster are parted by commas",
      ).env("TOKENMESH_REDIS_URL"),
    )
    .option("--redis-prefix <text>", "before every key (default: tokenmesh:)")
    .option("--store-timeout <ms>", "a call fails when the store has not answered by then", whole, 250)
    .option("--max-keys <n>", "budgets in memory", whole, 100_000)
    .option("--audit-log <file>", "append changes of budgets to this file instead of the log")
    .addOption(
      new Option("--log-level <level>", "least level that is logged")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .action(serve);

  const api = new Option("--api <url>", "admin API of the ledger").env("TOKENMESH_LEDGER_API").makeOptionMandatory();
  const per = new Option("--per <period>", "only the limit of this period").choices(PERIODS);
  const asked = (name: string, description: string) =>
    ledger.command(name).description(description).addOption(api).option("--json", "print JSON");

  asked("show", "print a budget, or the budgets of a domain")
    .argument("<domain>")
    .argument("[key=value...]", "entries of the budget, in the order in which calls have them")
    .addOption(per)
    .action(show);
  const changed = (name: string, description: string) =>
    asked(name, description).argument("<domain>").argument("<key=value...>").addOption(per);
  changed("set", "set what a budget has used")
    .requiredOption("--used <n>", "used from now on", whole)
    .action(async (domain: string, entries: string[], options: ClientOptions) => {
      const change = { action: "set", used: options.used ?? 0 } as const;
      const budget = await client(options).change(target(domain, entries, options), change);
      print(budget, budgetText(budget), options.json);
    });
  changed("add", "give a budget more until its window ends")
    .requiredOption("--amount <n>", "how much more", whole)
    .action(async (domain: string, entries: string[], options: ClientOptions) => {
      const change = { action: "add", amount: options.amount ?? 0 } as const;
      const budget = await client(options).change(target(domain, entries, options), change);
      print(budget, budgetText(budget), options.json);
    });
  changed("reset", "make a budget whole again").action(
    async (domain: string, entries: string[], options: ClientOptions) => {
      const budget = await client(options).change(target(domain, entries, options), { action: "reset" });
      print(budget, budgetText(budget), options.json);
    },
  );
  asked("usage", "print what was charged on a day, by budget and model")
    .argument("<domain>")
    .argument("[key=value...]", "only budgets with these entries")
    .option("--day <YYYY-MM-DD>", "UTC day (default: today)")
    .option("--by <part>", "add up by descriptor, model, or the value of an entry")
    .action(usage);
}

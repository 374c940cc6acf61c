/** Options of `tokenmesh serve` that say where answers are kept, and `tokenmesh cache show | purge`. */
import { type Command, Option } from "commander";
import { CacheClient } from "./client.ts";
import { type AnswerServiceOptions, DEFAULT_MEMORY_BYTES } from "./index.ts";
import { addSemanticOptions, type SemanticCommandOptions, semanticOptions } from "./semantic/cli.ts";
import { whole } from "./whole-number.ts";

export interface AnswersCommandOptions extends SemanticCommandOptions {
  readonly answersRedis?: string;
  readonly answersPrefix?: string;
  readonly answersTimeout: number;
  readonly answersBytes: number;
}

interface CacheOptions {
  readonly api: string;
  readonly key?: string;
  readonly model?: string;
  readonly tenant?: string;
  readonly all?: true;
}

/** Secrets come from the environment: arguments are visible to every user of the machine. */
const TOKEN = "TOKENMESH_API_TOKEN";

const tokenOf = (): string | undefined => process.env[TOKEN] || undefined;

export function addAnswersOptions(serve: Command): Command {
  serve
    .addOption(
      new Option(
        "--answers-redis <url>",
        "keep answers of the prompt cache in Redis or Valkey instead of memory; several nodes of a cluster are parted by commas",
      ).env("TOKENMESH_ANSWERS_REDIS_URL"),
    )
    .option("--answers-prefix <text>", "before every key there (default: tokenmesh:)")
    .option("--answers-timeout <ms>", "what the store has not answered by then is a miss", whole, 250)
    .option("--answers-bytes <n>", "answers in memory", whole, DEFAULT_MEMORY_BYTES);
  return addSemanticOptions(serve);
}

export function answersOptions(options: AnswersCommandOptions): AnswerServiceOptions {
  const { answersRedis: url, answersPrefix: prefix, answersTimeout: timeoutMs, answersBytes: memoryBytes } = options;
  const semantic = semanticOptions(options);
  return {
    memoryBytes,
    ...(semantic === undefined ? {} : { semantic }),
    ...(url === undefined ? {} : { redis: { url, timeoutMs, ...(prefix === undefined ? {} : { prefix }) } }),
  };
}

/** Adds the subcommands to `tokenmesh cache`. */
export function addCacheCommands(cache: Command): void {
  const api = new Option("--api <url>", "admin API of the server (its token: TOKENMESH_API_TOKEN)")
    .env("TOKENMESH_API")
    .makeOptionMandatory();
  const client = (options: CacheOptions) => new CacheClient({ api: options.api, token: tokenOf() });
  const print = (value: object): void => {
    process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
  };
  cache
    .command("show")
    .description("print the figures of the answer service: store, hits, purges, and which Envoys know of them")
    .addOption(api)
    .action(async (options: CacheOptions) => print(await client(options).show()));
  cache
    .command("purge")
    .description("drop answers at every Envoy and in the store: those of a key, a model or a tenant, or all")
    .addOption(api)
    .option("--key <hex>", "32 hex digits, as x-llm-cache-key shows them")
    .option("--model <name>", "as clients ask for it")
    .option("--tenant <name>", "value of the tenant header")
    .option("--all", "everything")
    .action(async (options: CacheOptions, command: Command) => {
      const { key, model, tenant, all } = options;
      const targets = Object.entries({ key, model, tenant, all }).filter(([, value]) => value !== undefined);
      if (targets.length !== 1) command.error("error: name one of --key, --model, --tenant and --all");
      print(await client(options).purge(Object.fromEntries(targets)));
    });
}

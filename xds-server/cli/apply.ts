/** `tokenmesh validate | diff | apply | delete`: files to a server, or judged on this machine. */
import type { Command } from "commander";
import { kindNamed, kindPath } from "../api/kind-paths.ts";
import { formatError, KINDS_SERVED, parseConfig, readConfigFiles } from "../config/index.ts";
import { ServerError } from "../errors.ts";
import { type ApiClient, ApiFailure, type FailureDetail } from "./api-client.ts";
import { WAIT_MARGIN_MS } from "./limits.ts";
import { type DiffReport, detailText, diffText } from "./reports.ts";
import { addServerOptions, clientOf, type ServerOptions } from "./server-options.ts";

/** Exit codes of `apply`: everything else that fails is 2. */
const EXIT = { invalid: 1, nacked: 3, timeout: 4 } as const;

interface ApplyOptions extends ServerOptions {
  readonly wait?: true;
  readonly timeout: string;
}

interface DeleteOptions extends ApplyOptions {
  readonly namespace: string;
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** The body that carries files with their names; undefined when one cannot be read. */
async function filesBody(paths: readonly string[]): Promise<string | undefined> {
  const onDisk = paths.filter((path) => path !== "-");
  const { files, errors } = readConfigFiles(onDisk);
  for (const error of errors) print(formatError(error));
  if (errors.length > 0) return undefined;
  const all = [...files, ...(paths.includes("-") ? [{ file: "-", text: await standardInput() }] : [])];
  return JSON.stringify({ files: all });
}

async function standardInput(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) text += String(chunk);
  return text;
}

/** Judges the files by themselves, as a server judges all that it has. */
async function validateHere(paths: readonly string[]): Promise<void> {
  const { files, errors } = readConfigFiles(paths);
  const result = parseConfig(files);
  // Other commands start faster without all that a server is made of.
  const { modelFaults } = await import("../control-plane/index.ts");
  const faults = result.ok ? modelFaults(result.model, paths[0] ?? "") : result.errors;
  const all = [...errors, ...faults];
  for (const each of [...all, ...(result.ok ? result.warnings : [])]) print(formatError(each));
  if (all.some(({ code }) => code === "TM_CONFIG_UNREADABLE")) process.exitCode = 2;
  else if (all.length > 0) process.exitCode = EXIT.invalid;
  else print(`${files.length} ${files.length === 1 ? "file" : "files"} valid`);
}

/** Judges the files together with all that a server has. */
async function validateThere(paths: readonly string[], client: ApiClient): Promise<void> {
  const body = await filesBody(paths);
  if (body === undefined) return unreadable();
  const { valid, documents, errors, warnings } = (await client.value("/api/v1/validate", { method: "POST", body })) as {
    readonly valid: boolean;
    readonly documents: number;
    readonly errors: readonly FailureDetail[];
    readonly warnings: readonly FailureDetail[];
  };
  for (const each of [...errors, ...warnings]) print(detailText(each));
  if (valid) print(`${documents} ${documents === 1 ? "document" : "documents"} valid with what the server has`);
  else process.exitCode = EXIT.invalid;
}

function unreadable(): void {
  process.exitCode = 2;
}

async function diff(paths: readonly string[], options: ServerOptions): Promise<void> {
  const client = clientOf(options);
  const body = paths.length === 0 ? undefined : await filesBody(paths);
  if (paths.length > 0 && body === undefined) return unreadable();
  const answer = client.value("/api/v1/diff", body === undefined ? {} : { method: "POST", body });
  const { groups } = (await reported(answer)) as { readonly groups: DiffReport };
  print(diffText(groups));
}

function waitQuery({ wait, timeout }: ApplyOptions): { readonly query: string; readonly timeoutMs: number } {
  const [, digits, unit] = /^(\d+)(ms|s|m)?$/.exec(timeout) ?? [];
  if (digits === undefined) throw new ServerError("TM_USAGE", `--timeout ${timeout} is no time such as 10s or 500ms`);
  const time = Number(digits) * (unit === "m" ? 60_000 : unit === "s" ? 1_000 : 1);
  const query = wait === undefined ? "" : `wait=acked&timeout=${encodeURIComponent(timeout)}`;
  return { query, timeoutMs: time + WAIT_MARGIN_MS };
}

interface Applied {
  readonly documents?: readonly { readonly identity: string; readonly result: string }[];
  readonly warnings?: readonly FailureDetail[];
  readonly wait?: { readonly nodes: number };
}

async function apply(paths: readonly string[], options: ApplyOptions): Promise<void> {
  const { query, timeoutMs } = waitQuery(options);
  const body = await filesBody(paths);
  if (body === undefined) return unreadable();
  const answer = await clientOf(options).ask(`/api/v1/apply?${query}`, { method: "POST", body, timeoutMs });
  const { documents = [], warnings = [], wait } = answer.value as Applied;
  // What was stored is told in any case: a rejected change is in force on the server.
  for (const { identity, result } of documents) print(`${identity} ${result}`);
  for (const warning of warnings) print(detailText(warning));
  if (answer.status >= 400) throw report(new ApiFailure(answer));
  if (wait !== undefined) print(`accepted by ${wait.nodes} ${wait.nodes === 1 ? "Envoy" : "Envoys"}`);
}

async function remove(kindName: string, name: string, options: DeleteOptions): Promise<void> {
  const { query, timeoutMs } = waitQuery(options);
  const kind = kindNamed(KINDS_SERVED, kindName);
  if (kind === undefined) throw new ServerError("TM_USAGE", `there is no kind ${kindName}`);
  const path = `${kindPath(kind, options.namespace, name)}?${query}`;
  await reported(clientOf(options).value(path, { method: "DELETE", timeoutMs }));
  print(`${kind.kind}/${options.namespace}/${name} deleted`);
}

/** Prints the single faults of an answer and sets the exit code. */
async function reported<T>(answer: Promise<T>): Promise<T> {
  return answer.catch((error: unknown) => {
    throw error instanceof ApiFailure ? report(error) : error;
  });
}

function report(failure: ApiFailure): ApiFailure {
  for (const detail of failure.details) print(detailText(detail));
  process.exitCode =
    failure.code === "TM_API_NACKED"
      ? EXIT.nacked
      : failure.code === "TM_API_TIMEOUT"
        ? EXIT.timeout
        : failure.status === 422 || failure.status === 400
          ? EXIT.invalid
          : 2;
  return failure;
}

/** Adds `validate`, `diff`, `apply` and `delete`. */
export function addChangeCommands(program: Command): void {
  addServerOptions(
    program
      .command("validate")
      .description("check configuration files or folders; prints every error with file, line and column")
      .argument("<path...>"),
  ).action((paths: readonly string[], options: ServerOptions, command: Command) =>
    // Only when asked for: a server in the environment must not change what the check is about.
    command.getOptionValueSource("server") === "cli" ? validateThere(paths, clientOf(options)) : validateHere(paths),
  );
  addServerOptions(
    program
      .command("diff")
      .description(
        "print which resources files would add (+), change (~) and remove (-); without files, what a load would",
      )
      .argument("[path...]", "- is standard input"),
  ).action(diff);
  const waiting = (command: Command) =>
    addServerOptions(command)
      .option("--wait", "until every connected Envoy has accepted it")
      .option("--timeout <time>", "longest to wait: 30s, 500ms, 2m", "30s");
  waiting(
    program
      .command("apply")
      .description(
        "give documents to a server. Exit codes: 0 in force (accepted, with --wait), 1 invalid, 3 rejected by an Envoy, 4 not in time",
      )
      .argument("<path...>", "- is standard input"),
  ).action(apply);
  waiting(
    program
      .command("delete")
      .description("remove a document of the API")
      .argument("<kind>")
      .argument("<name>")
      .option("-n, --namespace <name>", "its namespace", "default"),
  ).action(remove);
}

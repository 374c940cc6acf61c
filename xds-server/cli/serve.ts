/** `tokenmesh serve`. Standard output carries the `ready` line only; the log goes to standard error. */
import { type Command, Option } from "commander";
import { readCredential, readToken } from "../api/credentials.ts";
import { ServerError } from "../errors.ts";
import type { TlsOptions } from "../grpc/index.ts";
import { jsonLogger, type LogLevel } from "../log.ts";
import type { WasmDelivery } from "../resources/index.ts";
import { parseSpiffeRule, type SpiffeRule } from "../server/spiffe-authorization.ts";
import { STATE_FORMS } from "../server-options.ts";
import { type AnswersCommandOptions, addAnswersOptions, answersOptions } from "../state/answers/cli.ts";
import { SHUTDOWN_LIMIT_MS } from "./limits.ts";

interface ServeOptions extends AnswersCommandOptions {
  readonly config: string;
  readonly xds: string;
  readonly advertise?: string;
  readonly xdsCert?: string;
  readonly xdsKey?: string;
  readonly xdsClientCa?: string;
  readonly xdsAllow?: readonly SpiffeRule[];
  readonly api: string;
  readonly apiTokenFile?: string;
  readonly apiCert?: string;
  readonly apiKey?: string;
  readonly apiClientCa?: string;
  readonly state: string;
  readonly wasm: WasmDelivery;
  readonly wasmDir?: string;
  readonly logLevel: LogLevel;
}

/** Certificate and key come together, and an authority of clients not without them. @throws ServerError TM_USAGE */
function keyPair(name: string, cert?: string, key?: string, clientCa?: string) {
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new ServerError(
      "TM_USAGE",
      `--${name}-cert and --${name}-key come together, --${name}-client-ca not without them`,
    );
  return { cert, key, ...(clientCa === undefined ? {} : { clientCa }) };
}

/** @throws ServerError TM_API_CREDENTIALS */
function pems({ cert, key, clientCa }: NonNullable<ReturnType<typeof keyPair>>): TlsOptions {
  const texts = { cert: readCredential(cert), key: readCredential(key) };
  return clientCa === undefined ? texts : { ...texts, clientCa: readCredential(clientCa) };
}

async function serve(options: ServeOptions): Promise<void> {
  const log = jsonLogger(options.logLevel);
  const files = keyPair("xds", options.xdsCert, options.xdsKey, options.xdsClientCa);
  const apiTls = keyPair("api", options.apiCert, options.apiKey, options.apiClientCa);
  const { apiTokenFile, wasmDir, advertise, xdsAllow } = options;
  if (xdsAllow !== undefined && files?.clientCa === undefined)
    throw new ServerError("TM_USAGE", "--xds-allow goes by certificates of Envoys: it needs --xds-client-ca");
  const token = apiTokenFile === undefined ? process.env.TOKENMESH_API_TOKEN || undefined : readToken(apiTokenFile);
  // Commands that only ask a server start faster without all that it is made of.
  const { startServer } = await import("../index.ts");
  const server = await startServer({
    configDir: options.config,
    xds: options.xds,
    api: options.api,
    token,
    apiTls,
    tls: files && pems(files),
    ...(xdsAllow === undefined ? {} : { allow: xdsAllow }),
    state: options.state,
    wasm: options.wasm,
    answers: answersOptions(options),
    log,
    ...(wasmDir === undefined ? {} : { wasmDir }),
    ...(advertise === undefined ? {} : { advertise }),
  });
  process.on("SIGHUP", () => {
    server.reload();
    const renew = (what: string, read: () => void) => {
      try {
        read();
        log("info", `${what} read again`);
      } catch (error) {
        log("error", `${what} kept`, { error: error instanceof Error ? error.message : String(error) });
      }
    };
    if (files !== undefined) renew("certificates for Envoys", () => server.setTls(pems(files)));
    if (apiTls !== undefined) renew("certificates of the admin API", () => server.reloadApiTls());
    if (apiTokenFile !== undefined) renew("token of the admin API", () => server.setApiToken(readToken(apiTokenFile)));
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
  process.stdout.write(`ready ${JSON.stringify({ xds: server.xdsAddress, api: server.apiUrl })}\n`);
}

/** Adds `serve`. */
export function addServeCommand(program: Command): void {
  const command = program
    .command("serve")
    .description(
      "serve the configuration of a folder to Envoys over xDS; prints `ready {...}` when it does. SIGHUP reads the folder, all certificates and the token again",
    )
    .requiredOption("--config <dir>", "folder of YAML files; watched")
    .option("--xds <host:port>", "address for Envoys; port 0 takes a free one", "127.0.0.1:0")
    .option("--advertise <host:port>", "where Envoys reach --xds, if not at that address (for the loads of endpoints)")
    .option("--xds-cert <file>", "PEM of the certificate for Envoys; plain text without")
    .option("--xds-key <file>", "PEM of its key")
    .option("--xds-client-ca <file>", "PEM of the authority of the Envoys' certificates; others are refused")
    .option(
      "--xds-allow <id=groups>",
      "node groups that an Envoy with this SPIFFE id may be served, `*` for all; others are refused; repeatable",
      (text: string, rules: readonly SpiffeRule[] = []) => [...rules, parseSpiffeRule(text)],
    )
    .option("--api <host:port>", "address of the admin API; port 0 takes a free one", "127.0.0.1:0")
    .addOption(
      new Option(
        "--api-token-file <file>",
        "token of the admin API, needed beyond loopback (or TOKENMESH_API_TOKEN itself)",
      ).env("TOKENMESH_API_TOKEN_FILE"),
    )
    .option("--api-cert <file>", "PEM of the certificate of the admin API; plain HTTP without")
    .option("--api-key <file>", "PEM of its key")
    .option("--api-client-ca <file>", "PEM of an authority whose certificates are as good as the token")
    .addOption(
      new Option("--state <where>", `documents of the API, weights, registered instances: ${STATE_FORMS}`)
        .env("TOKENMESH_STATE")
        .default("memory"),
    )
    .addOption(new Option("--wasm <how>", "how Envoy gets filter code").choices(["inline", "file"]).default("inline"))
    .option("--wasm-dir <dir>", "folder of the compiled filters (default: the package's own)");
  addAnswersOptions(command)
    .addOption(
      new Option("--log-level <level>", "least level that is logged")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .action(serve);
}

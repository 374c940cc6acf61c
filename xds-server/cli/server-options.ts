/** The options by which commands find a server and show who they are. */
import { type Command, Option } from "commander";
import { readToken } from "../api/credentials.ts";
import { ServerError } from "../errors.ts";
import { ApiClient } from "./api-client.ts";

export interface ServerOptions {
  readonly server?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Secrets come from files or the environment: arguments are visible to every user of the machine. */
export function addServerOptions(command: Command): Command {
  return command
    .addOption(new Option("--server <url>", "admin API of the server").env("TOKENMESH_SERVER"))
    .addOption(
      new Option("--token-file <file>", "its token (or TOKENMESH_API_TOKEN itself)").env("TOKENMESH_TOKEN_FILE"),
    )
    .addOption(new Option("--ca <file>", "PEM of the authority of the server's certificate").env("TOKENMESH_CA"))
    .option("--cert <file>", "PEM of a client certificate")
    .option("--key <file>", "PEM of its key");
}

/** @throws ServerError TM_USAGE, TM_API_CREDENTIALS */
export function clientOf({ server, tokenFile, ca, cert, key }: ServerOptions): ApiClient {
  if (server === undefined) throw new ServerError("TM_USAGE", "no server is named (--server or TOKENMESH_SERVER)");
  const token = tokenFile === undefined ? process.env.TOKENMESH_API_TOKEN || undefined : readToken(tokenFile);
  return new ApiClient({ server, token, caFile: ca, certFile: cert, keyFile: key });
}

import { ServerError } from "../errors.ts";

/** Splits `host:port` and `[::1]:port`; the host keeps its brackets. @throws ServerError TM_USAGE */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port > 65_535) throw new ServerError("TM_USAGE", `not HOST:PORT: ${address}`);
  return { host: match[1], port };
}

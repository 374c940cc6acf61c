/** The OpenAPI document as text, from an API that nobody asks anything else. */
import { silentLogger } from "../log.ts";
import { createApi } from "./api-server.ts";
import type { ApiPorts } from "./ports.ts";

/** @param version of the program */
export async function openapiText(version: string): Promise<string> {
  const untouched = new Proxy({} as ApiPorts, {
    get: (_, name) => (name === "control" || name === "registry" ? {} : undefined),
  });
  const api = await createApi(untouched, { log: silentLogger, version, token: undefined, clientCertificates: false });
  try {
    return `${JSON.stringify(api.swagger(), undefined, 2)}\n`;
  } finally {
    await api.close();
  }
}

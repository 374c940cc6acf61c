import { describe, expect, it } from "vitest";
import { parseConfig } from "../../xds-server/config/index.ts";
import { LoadError, ProxyWasmHost } from "../host/index.ts";
import { ruleRows } from "./config-rows-rules.ts";
import { environmentVariables, targetRows } from "./config-rows-targets.ts";
import { type Row, trafficRows } from "./config-rows-traffic.ts";
import { routerWasm } from "./router-driver.ts";

/** The same configuration is judged the same by the filter in Envoy and by the xDS server in front of it. */

const host = await ProxyWasmHost.load(routerWasm, { workers: 1, environmentVariables });

function filterTakes(config: object): boolean {
  try {
    host.plugin({ name: "llm-router", rootId: "llm-router", config }).remove();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(LoadError);
    return false;
  }
}

const service = (host: string): object => ({
  apiVersion: "networking.istio.io/v1",
  kind: "ServiceEntry",
  metadata: { name: host.replace(".", "-") },
  spec: {
    hosts: [host],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints: [{ address: "127.0.0.1" }],
  },
});
const services = ["c.test", "x.test", "y.test"].map(service);

/** What the server cannot build is another question than what is right. */
function serverTakes(spec: object): boolean {
  const router = { apiVersion: "tokenmesh.io/v1alpha1", kind: "LLMRouter", metadata: { name: "test" }, spec };
  const text = [router, ...services].map((document) => JSON.stringify(document)).join("\n---\n");
  const result = parseConfig([{ file: "test.yaml", text }]);
  return result.ok || result.errors.every(({ code }) => code === "TM_CONFIG_UNSUPPORTED");
}

const tables: [name: string, rows: readonly Row[]][] = [
  ["fields of the whole", trafficRows],
  ["targets", targetRows],
  ["rules", ruleRows],
];

describe.each(tables)("%s", (_table, rows) => {
  it.each(rows)("%s", (_name, spec, valid, only) => {
    const server = only === "filter" ? undefined : serverTakes(spec);
    expect({ filter: filterTakes(spec), server }).toEqual({ filter: valid, server: only ? undefined : valid });
  });

  it("are all tried under different names", () => {
    expect(new Set(rows.map(([name]) => name)).size).toBe(rows.length);
  });
});

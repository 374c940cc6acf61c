import { readFileSync } from "node:fs";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { discoverySpec } from "../../test/fixtures/discovery/endpoints.ts";
import { formatError } from "../config/diagnostics.ts";
import { parseConfig } from "../config/parse.ts";
import { parseEndpointFile } from "./file/endpoint-file.ts";
import { createDiscoveryMetrics } from "./metrics.ts";

/** docs/discovery.md and the source say the same. */

const page = readFileSync(new URL("../../docs/discovery.md", import.meta.url), "utf8");

/** Cells of the rows of all tables with that head. */
function rows(...head: readonly string[]): readonly (readonly string[])[] {
  const [, ...tables] = page.split(`| ${head.join(" | ")} |\n`);
  return tables
    .flatMap((table) => table.split("\n\n", 1).join("").split("\n").slice(1))
    .map((line) => line.split(" | ").map((cell) => cell.replace(/^\| ?| ?\|$/g, "").trim()));
}

const names = (cell: string | undefined) => [...(cell ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? "");

/** An example value of every field. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  file: ["path: a"],
  dns: ["resolver: ['10.0.0.1:53']", "kind: A", "port: 80"],
  consul: [
    "address: a:1",
    "datacenter: a",
    "namespace: a",
    "token: {env: A}",
    "caFile: a",
    "tag: a",
    "passingOnly: true",
    "consistency: stale",
  ],
  eureka: ["addresses: [a:1]", "username: a", "password: {env: A}", "caFile: a"],
  kubernetes: ["kubeconfig: a", "context: a", "namespaces: [a]", "port: a", "pods: true", "nodes: false"],
};

describe("docs/discovery.md", () => {
  it("has examples that are right", () => {
    const [configuration, file] = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text ?? "");
    const result = parseConfig([{ file: "example.yaml", text: configuration ?? "" }]);
    expect(result.ok ? [] : result.errors.map(formatError)).toEqual([]);
    expect(result.ok && result.model.discoverySources).toHaveLength(1);
    expect(parseEndpointFile("endpoints.yaml", file ?? "").get("llama-70b")).toHaveLength(2);
  });

  it("lists every field of every source", () => {
    const listed = rows("source", "field", "default", "meaning").flatMap(([source, fields]) =>
      names(fields).map((field) => `${names(source)[0]} ${field}`),
    );
    const known = Object.entries(EXAMPLES).flatMap(([source, fields]) =>
      fields.map((field) => `${source} ${field.split(":")[0]}`),
    );
    expect(listed).toEqual(known);
    for (const [source, fields] of Object.entries(EXAMPLES)) {
      const text = `
apiVersion: tokenmesh.io/v1alpha1
kind: DiscoverySource
metadata: {name: s}
spec: {${source}: {${fields.join(", ")}}}
`;
      const result = parseConfig([{ file: "f.yaml", text }]);
      if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
      const spec = result.model.discoverySources[0]?.spec[source as "consul"];
      // What the model has and no field sets would be undocumented.
      for (const [field, value] of Object.entries(spec ?? {})) expect(value, `${source}.${field}`).toBeDefined();
    }
  });

  it("lists every field that all sources have", () => {
    const [table] = rows("field", "default", "meaning").length > 0 ? [rows("field", "default", "meaning")] : [];
    const listed = (table ?? []).flatMap(([fields]) => names(fields)).map((field) => field.split(".")[0]);
    const { file, dns, kubernetes, consul, eureka, registry, ...common } = discoverySpec();
    void [file, dns, kubernetes, consul, eureka, registry];
    for (const field of Object.keys(common)) expect(listed).toContain(field);
  });

  it("lists every metric with its labels", async () => {
    const registry = new Registry();
    createDiscoveryMetrics(registry, () => []);
    const metrics = await registry.getMetricsAsJSON();
    const listed = rows("metric", "labels", "meaning").map(([name]) => names(name)[0]);
    expect([...listed].sort()).toEqual(metrics.map(({ name }) => name).sort());
  });
});

import { describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { createResource } from "../cache/index.ts";
import { DocumentMemo, formatError, type Model, parseConfig } from "../config/index.ts";
import { build } from "./build.ts";
import { ResourceMemo } from "./resource-memo.ts";

/** What is made again when a configuration changes in one place: counted. */

const cluster = (name: string) => createResource(TypeUrl.cluster, name, { name });

describe("a memo", () => {
  it("makes what has other inputs, and nothing else", () => {
    const memo = new ResourceMemo();
    const make = (...inputs: readonly unknown[]) => memo.resource("a", inputs, () => cluster("a"));
    const object = {};
    const first = make(1, object);
    expect([make(1, object), memo.count]).toEqual([first, 1]);
    make(1, {});
    make(1);
    make(1, undefined);
    expect(memo.count).toBe(4);
  });

  it("keeps what was asked for since the last sweep but one", () => {
    const memo = new ResourceMemo();
    const make = () => memo.resource("a", [], () => cluster("a"));
    make();
    memo.sweep();
    make();
    expect(memo.count).toBe(1);
    memo.sweep();
    memo.sweep();
    make();
    expect(memo.count).toBe(2);
  });

  it("over another looks into that one and leaves it as it is", () => {
    const below = new ResourceMemo();
    below.resource("a", [1], () => cluster("a"));
    const trial = new ResourceMemo(below);
    trial.resource("a", [1], () => cluster("a"));
    trial.resource("a", [2], () => cluster("a"));
    expect(trial.count).toBe(1);
    below.resource("a", [1], () => cluster("a"));
    expect(below.count).toBe(1);
  });
});

describe("of a configuration", () => {
  const service = (name: string, address: string, timeout = "1s") => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec: {hosts: [${name}.test], ports: [{number: 80, name: http}], resolution: STATIC, endpoints: [{address: ${address}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec: {host: ${name}.test, trafficPolicy: {connectionPool: {tcp: {connectTimeout: ${timeout}}}}, subsets: [{name: v1}]}
`;
  const gateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;
  const documents = new DocumentMemo();
  const memo = new ResourceMemo();
  const made = (...texts: readonly string[]) => {
    const before = memo.count;
    build(modelOf(texts), { modules: {}, memo });
    memo.sweep();
    return memo.count - before;
  };
  function modelOf(texts: readonly string[]): Model {
    const result = parseConfig(
      texts.map((text, index) => ({ file: `${index}.yaml`, text })),
      { memo: documents },
    );
    documents.sweep();
    if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
    return result.model;
  }

  it("only the resources of a file that changed are made again", () => {
    const a = service("a", "10.0.0.1");
    // Two clusters with their assignments for each service, and a listener.
    expect(made(a, service("b", "10.0.0.1"), gateway)).toBe(9);
    expect(made(a, service("b", "10.0.0.1"), gateway)).toBe(0);
    expect(made(a, service("b", "10.0.0.1", "2s"), gateway)).toBe(4);
    expect(made(a, service("b", "10.0.0.1", "2s"))).toBe(0);
  });
});

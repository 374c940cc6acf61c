import { describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { nodeIdentity } from "../cache/index.ts";
import type { Nack } from "../stream/index.ts";
import { NACK_MEMORY_MS } from "./limits.ts";
import { NackRegistry } from "./nack-registry.ts";

const nackOf = (...resources: readonly string[]): Nack => ({
  typeUrl: TypeUrl.cluster,
  version: "v",
  resources,
  code: 13,
  message: "bad",
  at: 7,
});

const node = (id: string) => nodeIdentity(id, "c");

describe("registry of rejections", () => {
  it("names node, type and resource; an ACK takes the entry away", () => {
    const nacks = new NackRegistry();
    nacks.answered(node("n"), "g", TypeUrl.cluster, nackOf("a", "b"));
    expect(nacks.entries()).toEqual(
      ["a", "b"].map((resource) => ({
        ...{ node: "n", cluster: "c", group: "g", type: "CDS", resource },
        ...{ version: "v", code: 13, message: "bad", at: 7 },
      })),
    );
    nacks.answered(node("n"), "g", TypeUrl.cluster, nackOf("b"));
    expect(nacks.entries().map(({ resource }) => resource)).toEqual(["b"]);
    nacks.answered(node("n"), "g", TypeUrl.listener, undefined);
    expect(nacks.size).toBe(1);
    nacks.answered(node("n"), "g", TypeUrl.cluster, undefined);
    expect(nacks.size).toBe(0);
  });

  it("outlives the stream, and is forgotten when the node stays away", () => {
    const nacks = new NackRegistry();
    nacks.connected("n", 0);
    nacks.connected("n", 0);
    nacks.answered(node("n"), "g", TypeUrl.cluster, nackOf("a"));
    nacks.disconnected("n", 0);
    nacks.connected("other", NACK_MEMORY_MS);
    expect(nacks.size).toBe(1);
    nacks.disconnected("n", NACK_MEMORY_MS);
    nacks.connected("other", 2 * NACK_MEMORY_MS - 1);
    expect(nacks.size).toBe(1);
    nacks.connected("other", 2 * NACK_MEMORY_MS);
    expect(nacks.size).toBe(0);
  });

  it("a node that comes back is not forgotten", () => {
    const nacks = new NackRegistry();
    nacks.connected("n", 0);
    nacks.answered(node("n"), "g", TypeUrl.cluster, nackOf("a"));
    nacks.disconnected("n", 0);
    nacks.connected("n", 10);
    nacks.connected("other", 2 * NACK_MEMORY_MS);
    expect(nacks.size).toBe(1);
  });

  it("shows what no open stream shows: of a node that is away until it expires, of one that is back until it answers", () => {
    const nacks = new NackRegistry();
    const nack = nackOf("a", "b");
    const streamOf = (id: string, open: Nack | undefined) => ({
      node: node(id),
      watches: new Map([[TypeUrl.cluster, { nack: open }]]),
    });
    for (const id of ["gone", "stays"]) {
      nacks.connected(id, 0);
      nacks.answered(node(id), "g", TypeUrl.cluster, nack);
    }
    nacks.answered(node("gone"), "g", TypeUrl.listener, { ...nackOf("l"), typeUrl: TypeUrl.listener });
    const of = (now: number, ...streams: ReturnType<typeof streamOf>[]) => nacks.earlier(streams, now);
    const stays = streamOf("stays", nack);
    expect(of(5, streamOf("gone", nack), stays).map(({ type }) => type)).toEqual(["LDS"]);
    nacks.disconnected("gone", 10);
    const entry = {
      node: "gone",
      cluster: "c",
      group: "g",
      version: "v",
      code: 13,
      message: "bad",
      at: 7,
      awaySince: 10,
    };
    const away = [
      { ...entry, type: "CDS", resources: ["a", "b"] },
      { ...entry, type: "LDS", resources: ["l"] },
    ];
    expect(of(11, stays)).toEqual(away);
    expect(of(9 + NACK_MEMORY_MS, stays)).toEqual(away);
    expect(of(10 + NACK_MEMORY_MS, stays)).toEqual([]);
    nacks.connected("gone", 20);
    const back = streamOf("gone", undefined);
    expect(of(2 * NACK_MEMORY_MS, stays, back)).toEqual(away.map((each) => ({ ...each, awaySince: undefined })));
    nacks.answered(node("gone"), "g", TypeUrl.cluster, undefined);
    expect(of(30, stays, back).map(({ type }) => type)).toEqual(["LDS"]);
  });

  it("keeps a bounded number; the oldest go first", () => {
    const nacks = new NackRegistry(5);
    for (let i = 0; i < 10; i++) nacks.answered(node(`n${i}`), "g", TypeUrl.cluster, nackOf("a", "b"));
    expect(nacks.entries().map((entry) => entry.node)).toEqual(["n8", "n8", "n9", "n9"]);
  });
});

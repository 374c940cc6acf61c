import { describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { createSnapshot, type Reference, type Resource, type Snapshot } from "../cache/index.ts";
import type { PlannedResponse } from "./discovery.ts";
import { MAX_RESOURCE_NAME_LENGTH, MAX_RESOURCE_NAMES } from "./limits.ts";
import { SotwSession } from "./sotw-session.ts";

/**
 * The state-of-the-world rules of the xDS protocol, one test per rule, named after the behaviour. Resources are `TYPE:name@version`; what a
 * response carried is compared as `CDS a@1 b@1`.
 */

const TYPES = {
  CDS: TypeUrl.cluster,
  EDS: TypeUrl.endpoints,
  LDS: TypeUrl.listener,
  RDS: TypeUrl.route,
  ECDS: TypeUrl.extensionConfig,
} as const;
type Type = keyof typeof TYPES;

function resource(text: string, references: readonly Reference[] = []): Resource {
  const [type = "", rest = ""] = text.split(":");
  const [name = "", version = ""] = rest.split("@");
  return { typeUrl: TYPES[type as Type], name, version, any: new Uint8Array(), references };
}

/** `CDS:a@1 -> EDS:a`: the resource and what it refers to. */
function snapshot(...lines: readonly string[]): Snapshot {
  return createSnapshot(
    lines.map((line) => {
      const [self = "", targets = ""] = line.split(" -> ");
      const references = targets
        .split(" ")
        .filter((each) => each !== "")
        .map((each) => ({ typeUrl: TYPES[each.split(":")[0] as Type], name: each.split(":")[1] ?? "" }));
      return resource(self, references);
    }),
  );
}

class Client {
  readonly session: SotwSession;
  readonly #latest = new Map<Type, PlannedResponse>();
  readonly #names = new Map<Type, readonly string[]>();
  readonly nonces: string[] = [];

  constructor(first: Snapshot) {
    this.session = new SotwSession(first);
  }

  /** Everything that is due now, in order, as text. */
  read(): string[] {
    const lines: string[] = [];
    for (let due = this.session.next(); due !== undefined; due = this.session.next()) {
      const { typeUrl, nonce, resources } = due;
      const type = (Object.keys(TYPES) as Type[]).find((each) => TYPES[each] === typeUrl) ?? "CDS";
      this.#latest.set(type, due);
      this.nonces.push(nonce);
      lines.push([type, ...resources.map(({ name, version }) => `${name}@${version}`)].join(" "));
    }
    return lines;
  }

  send(type: Type, names: readonly string[], more: { nonce?: string; error?: string; version?: string } = {}): string {
    this.#names.set(type, names);
    const latest = this.#latest.get(type);
    return this.session.receive(
      {
        typeUrl: TYPES[type],
        versionInfo: more.version ?? latest?.version ?? "",
        resourceNames: names,
        responseNonce: more.nonce ?? latest?.nonce ?? "",
        ...(more.error === undefined ? {} : { errorDetail: { code: 13, message: more.error } }),
      },
      1_000,
    ).kind;
  }

  /** First request or changed names; then everything that is due. */
  subscribe(type: Type, ...names: readonly string[]): string[] {
    this.send(type, names);
    return this.read();
  }

  ack(...types: readonly Type[]): string[] {
    for (const type of types) expect(this.send(type, this.#names.get(type) ?? [])).toBe("ack");
    return this.read();
  }

  nack(type: Type, error: string): string[] {
    expect(this.send(type, this.#names.get(type) ?? [], { error })).toBe("nack");
    return this.read();
  }

  publish(next: Snapshot): string[] {
    this.session.publish(next);
    return this.read();
  }

  nonceOf(type: Type): string {
    return this.#latest.get(type)?.nonce ?? "";
  }
}

const two = snapshot("CDS:a@1 -> EDS:a", "CDS:b@1 -> EDS:b", "EDS:a@1", "EDS:b@1");

describe("requests", () => {
  it("refuses a request without type_url", () => {
    const session = new SotwSession(two);
    const request = { typeUrl: "", versionInfo: "", resourceNames: [], responseNonce: "" };
    expect(session.receive(request, 0)).toMatchObject({ kind: "violation", code: "INVALID_ARGUMENT" });
  });

  it("does not mind an unknown type_url", () => {
    const client = new Client(two);
    const request = { typeUrl: "type.googleapis.com/x.Y", versionInfo: "", resourceNames: [], responseNonce: "" };
    expect(client.session.receive(request, 0)).toEqual({ kind: "unknown-type" });
    expect(client.subscribe("CDS")).toEqual(["CDS a@1 b@1"]);
  });

  it.each([
    ["too many names", Array.from({ length: MAX_RESOURCE_NAMES + 1 }, (_, index) => `n${index}`), "RESOURCE_EXHAUSTED"],
    ["a name that is too long", ["x".repeat(MAX_RESOURCE_NAME_LENGTH + 1)], "INVALID_ARGUMENT"],
  ])("refuses %s", (_what, resourceNames, code) => {
    const request = { typeUrl: TypeUrl.endpoints, versionInfo: "", resourceNames, responseNonce: "" };
    expect(new SotwSession(two).receive(request, 0)).toMatchObject({ kind: "violation", code });
  });
});

describe("versions and nonces", () => {
  it("gives every response a nonce of its own, over all types", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.subscribe("EDS", "a", "b");
    client.ack("CDS", "EDS");
    client.publish(snapshot("CDS:a@2 -> EDS:a", "CDS:b@1 -> EDS:b", "EDS:a@1", "EDS:b@2"));
    expect(new Set(client.nonces).size).toBe(4);
    expect(client.nonces).not.toContain("");
  });

  it("does not answer an ACK", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    expect(client.ack("CDS")).toEqual([]);
  });

  it("sends nothing for an unchanged snapshot, nor for a change of what is not subscribed", () => {
    const client = new Client(two);
    client.subscribe("EDS", "a");
    client.ack("EDS");
    expect(client.publish(snapshot("CDS:a@1", "CDS:b@1", "EDS:a@1", "EDS:b@1"))).toEqual([]);
    expect(client.publish(snapshot("CDS:a@2", "CDS:b@1", "EDS:a@1", "EDS:b@2"))).toEqual([]);
  });

  it("drops a request with a stale nonce, and takes its names from the next ACK", () => {
    const client = new Client(two);
    client.subscribe("EDS", "a");
    const old = client.nonceOf("EDS");
    client.ack("EDS");
    client.publish(snapshot("EDS:a@2", "EDS:b@1"));
    expect(client.send("EDS", ["a", "b"], { nonce: old })).toBe("stale");
    expect(client.read()).toEqual([]);
    expect(client.send("EDS", ["a", "b"])).toBe("ack");
    expect(client.read()).toEqual(["EDS b@1"]);
  });

  it("drops a stale NACK", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    const old = client.nonceOf("CDS");
    client.ack("CDS");
    client.publish(snapshot("CDS:a@2", "CDS:b@1"));
    expect(client.send("CDS", [], { nonce: old, error: "bad" })).toBe("stale");
    expect(client.session.watches.get(TypeUrl.cluster)?.nack).toBeUndefined();
  });

  it("has one response per type on its way, and then sends only the newest state", () => {
    const client = new Client(two);
    client.subscribe("EDS", "a", "b");
    for (const version of [2, 3, 4]) expect(client.publish(snapshot(`EDS:a@${version}`, "EDS:b@1"))).toEqual([]);
    expect(client.ack("EDS")).toEqual(["EDS a@4"]);
  });
});

describe("NACK", () => {
  it("does not send a rejected version again, and delivers the next one", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.ack("CDS");
    client.publish(snapshot("CDS:a@bad", "CDS:b@1"));
    expect(client.nack("CDS", "Error adding/updating cluster(s) a: no")).toEqual([]);
    expect(client.publish(snapshot("CDS:a@bad", "CDS:b@1", "EDS:a@1"))).toEqual([]);
    expect(client.publish(snapshot("CDS:a@3", "CDS:b@1"))).toEqual(["CDS a@3 b@1"]);
  });

  it("shows no secret of what was rejected", () => {
    const secret = 'sk-"quoted"';
    const config = { ...resource("ECDS:f@1"), secrets: [secret] };
    const client = new Client(createSnapshot([config]));
    client.subscribe("ECDS", "f");
    client.nack(
      "ECDS",
      `f: no good: {"value":${JSON.stringify(secret)}}, configuration: ${JSON.stringify(JSON.stringify(secret))}`,
    );
    const message = client.session.watches.get(TypeUrl.extensionConfig)?.nack?.message;
    expect(message).toBe('f: no good: {"value":"(hidden)"}, configuration: "\\"(hidden)\\""');
  });

  it("is kept with version, names and message until an ACK", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.ack("CDS");
    client.publish(snapshot("CDS:a@bad", "CDS:b@1"));
    client.nack("CDS", "Error adding/updating cluster(s) a: ConnectTimeout: value must be greater than 0s");
    const watch = client.session.watches.get(TypeUrl.cluster);
    expect(watch?.nack).toMatchObject({
      resources: ["a"],
      code: 13,
      at: 1_000,
      message: expect.stringContaining("ConnectTimeout"),
    });
    client.publish(snapshot("CDS:a@1", "CDS:b@1"));
    expect(watch?.nack).toBeDefined();
    client.ack("CDS");
    expect(watch?.nack).toBeUndefined();
  });

  it("of one endpoint set is not cleared by the ACK of another", () => {
    const client = new Client(two);
    client.subscribe("EDS", "a", "b");
    client.ack("EDS");
    client.publish(snapshot("EDS:a@bad", "EDS:b@1"));
    client.nack("EDS", "malformed");
    client.publish(snapshot("EDS:a@bad", "EDS:b@2"));
    client.ack("EDS");
    expect(client.session.watches.get(TypeUrl.endpoints)?.nack?.resources).toEqual(["a"]);
  });

  it("leaves the other types alone", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.subscribe("EDS", "a");
    client.ack("CDS", "EDS");
    client.publish(snapshot("CDS:a@bad", "CDS:b@1", "EDS:a@1"));
    client.nack("CDS", "a");
    expect(client.publish(snapshot("CDS:a@bad", "CDS:b@1", "EDS:a@2"))).toEqual(["EDS a@2"]);
  });
});

describe("subscriptions", () => {
  it("takes an empty first request as everything for clusters and listeners, as nothing for the rest", () => {
    const client = new Client(snapshot("CDS:a@1", "EDS:a@1", "LDS:l@1", "RDS:r@1", "ECDS:e@1"));
    expect(client.subscribe("CDS")).toEqual(["CDS a@1"]);
    expect(client.subscribe("LDS")).toEqual(["LDS l@1"]);
    for (const type of ["EDS", "RDS", "ECDS"] as const) expect(client.subscribe(type)).toEqual([]);
  });

  it("answers a wildcard over nothing with an empty response, because Envoy waits for it", () => {
    expect(new Client(snapshot("EDS:a@1")).subscribe("CDS")).toEqual(["CDS"]);
  });

  it("takes * as everything, also beside names", () => {
    expect(new Client(two).subscribe("CDS", "*")).toEqual(["CDS a@1 b@1"]);
    expect(new Client(two).subscribe("CDS", "*", "a")).toEqual(["CDS a@1 b@1"]);
    expect(new Client(two).subscribe("EDS", "*")).toEqual(["EDS a@1 b@1"]);
  });

  it("keeps the names when * is dropped", () => {
    const client = new Client(two);
    client.subscribe("CDS", "*", "a");
    expect(client.subscribe("CDS", "a")).toEqual([]);
    expect(client.publish(snapshot("CDS:a@1", "CDS:b@2"))).toEqual([]);
    expect(client.publish(snapshot("CDS:a@2", "CDS:b@2"))).toEqual(["CDS a@2"]);
  });

  it("takes an empty list after names as nothing, not as everything", () => {
    const client = new Client(two);
    client.subscribe("CDS", "a");
    client.subscribe("CDS");
    expect(client.publish(snapshot("CDS:a@2", "CDS:b@2"))).toEqual([]);
  });

  it("sends full state for clusters, and only what changed for endpoints", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.subscribe("EDS", "a", "b");
    client.ack("CDS", "EDS");
    expect(client.publish(snapshot("CDS:a@2", "CDS:b@1", "EDS:a@1", "EDS:b@2"))).toEqual(["CDS a@2 b@1", "EDS b@2"]);
  });

  it("answers an added name even though nothing changed", () => {
    const client = new Client(two);
    client.subscribe("EDS", "a");
    client.ack("EDS");
    expect(client.subscribe("EDS", "b", "a")).toEqual(["EDS b@1"]);
  });

  it("compares names as a set", () => {
    const client = new Client(two);
    client.subscribe("EDS", "a", "b");
    client.ack("EDS");
    expect(client.subscribe("EDS", "b", "a")).toEqual([]);
  });

  it("sends a name again after unsubscribe and subscribe", () => {
    const client = new Client(two);
    client.subscribe("EDS", "a", "b");
    client.ack("EDS");
    expect(client.subscribe("EDS", "a")).toEqual([]);
    expect(client.subscribe("EDS", "a", "b")).toEqual(["EDS b@1"]);
  });

  it("does not deliver what was unsubscribed", () => {
    const client = new Client(two);
    client.subscribe("EDS", "a", "b");
    client.ack("EDS");
    client.subscribe("EDS", "a");
    expect(client.publish(snapshot("EDS:a@1", "EDS:b@2"))).toEqual([]);
  });

  it("remembers a name that does not exist, and delivers it when it does", () => {
    const client = new Client(two);
    expect(client.subscribe("EDS", "later")).toEqual([]);
    expect(client.publish(snapshot("EDS:later@1"))).toEqual(["EDS later@1"]);
  });
});

describe("removal", () => {
  it("is absence for clusters, silence for endpoints", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.subscribe("EDS", "a", "b");
    client.ack("CDS", "EDS");
    expect(client.publish(snapshot("CDS:a@1", "EDS:a@1"))).toEqual(["CDS a@1"]);
  });

  it("is never said of a filter configuration", () => {
    const client = new Client(snapshot("ECDS:f@1"));
    client.subscribe("ECDS", "f");
    client.ack("ECDS");
    expect(client.publish(snapshot("CDS:a@1"))).toEqual([]);
  });

  it("and return with the same content is sent again for clusters", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.ack("CDS");
    client.publish(snapshot("CDS:a@1"));
    client.ack("CDS");
    expect(client.publish(two)).toEqual(["CDS a@1 b@1"]);
  });
});

describe("reconnect", () => {
  it("answers everything, whatever version the client claims to have", () => {
    const client = new Client(two);
    client.send("CDS", [], { version: "of another server" });
    client.send("EDS", ["a"], { version: "of another server" });
    expect(client.read()).toEqual(["CDS a@1 b@1", "EDS a@1"]);
    client.ack("CDS", "EDS");
    expect(client.publish(snapshot("CDS:a@1", "CDS:b@1", "EDS:a@2"))).toEqual(["EDS a@2"]);
  });

  it("does not repeat endpoints behind clusters that the client already has", () => {
    const version = two.types.get(TypeUrl.cluster)?.version ?? "";
    const client = new Client(two);
    client.subscribe("EDS", "a", "b");
    client.ack("EDS");
    client.send("CDS", [], { version });
    expect(client.read()).toEqual(["CDS a@1 b@1"]);
  });
});

describe("order", () => {
  const world = (route: string, ...clusters: readonly string[]) =>
    snapshot(
      ...clusters.flatMap((name) => [`CDS:${name}@1 -> EDS:${name}`, `EDS:${name}@1`]),
      "LDS:l@1 -> RDS:r",
      `RDS:r@${route} -> CDS:${route}`,
    );

  function connected(first: Snapshot): Client {
    const client = new Client(first);
    client.subscribe("CDS");
    client.subscribe("EDS", "x");
    client.ack("CDS", "EDS");
    client.subscribe("LDS");
    client.subscribe("RDS", "r");
    client.ack("LDS", "RDS");
    return client;
  }

  it("pushes CDS, EDS, LDS, RDS, ECDS", () => {
    const client = new Client(snapshot("CDS:a@1", "EDS:a@1", "LDS:l@1", "RDS:r@1", "ECDS:e@1"));
    for (const [type, names] of [
      ["ECDS", ["e"]],
      ["RDS", ["r"]],
      ["LDS", []],
      ["EDS", ["a"]],
      ["CDS", []],
    ] as const) {
      client.send(type, names);
    }
    expect(client.read()).toEqual(["CDS a@1", "EDS a@1", "LDS l@1", "RDS r@1", "ECDS e@1"]);
  });

  it("holds a route back until the client has accepted its cluster", () => {
    const client = connected(world("x", "x"));
    expect(client.publish(world("y", "x", "y"))).toEqual(["CDS x@1 y@1"]);
    expect(client.subscribe("EDS", "x", "y")).toEqual(["EDS y@1"]);
    expect(client.ack("EDS")).toEqual([]);
    expect(client.ack("CDS")).toEqual(["RDS r@y"]);
  });

  it("removes a cluster only after the route that left it was accepted", () => {
    const client = connected(world("x", "x"));
    expect(client.publish(world("y", "y"))).toEqual(["CDS y@1 x@1"]);
    client.subscribe("EDS", "x", "y");
    client.ack("EDS");
    expect(client.ack("CDS")).toEqual(["RDS r@y"]);
    expect(client.ack("RDS")).toEqual(["CDS y@1"]);
    expect(client.ack("CDS")).toEqual([]);
  });

  it("holds a route back while a response that takes its cluster away is on its way", () => {
    const client = connected(world("x", "x", "y"));
    expect(client.publish(world("x", "x"))).toEqual(["CDS x@1"]);
    expect(client.publish(world("y", "x", "y"))).toEqual([]);
    expect(client.ack("CDS")).toEqual(["CDS x@1 y@1"]);
    expect(client.ack("CDS")).toEqual(["RDS r@y"]);
  });

  it("keeps the old cluster while the client rejects the new route", () => {
    const client = connected(world("x", "x"));
    client.publish(world("y", "y"));
    client.ack("CDS");
    expect(client.nack("RDS", "r: no")).toEqual([]);
    expect([...(client.session.watches.get(TypeUrl.cluster)?.held.keys() ?? [])]).toContain("x");
  });

  it("keeps the old route when the client rejects the new cluster", () => {
    const client = connected(world("x", "x"));
    client.publish(world("y", "x", "y"));
    expect(client.nack("CDS", "Error adding/updating cluster(s) y: no")).toEqual([]);
  });

  it("never has two contents under one cluster version", () => {
    const client = connected(world("x", "x"));
    client.session.publish(world("y", "y"));
    const during = client.session.next()?.version;
    expect(during).toBeDefined();
    expect(during).not.toBe(world("y", "y").types.get(TypeUrl.cluster)?.version);
  });

  it("does not wait for clusters of a client that takes none from this stream", () => {
    const client = new Client(world("x", "x"));
    client.subscribe("RDS", "r");
    client.ack("RDS");
    expect(client.publish(world("y", "y"))).toEqual(["RDS r@y"]);
  });

  it("holds a changed filter configuration back while routes are on their way", () => {
    const filtered = (version: number) => snapshot("CDS:a@1", `RDS:r@${version} -> CDS:a`, `ECDS:f@${version}`);
    const client = new Client(filtered(1));
    client.subscribe("CDS");
    client.subscribe("RDS", "r");
    client.ack("CDS");
    client.subscribe("ECDS", "f");
    client.ack("RDS", "ECDS");
    expect(client.publish(filtered(2))).toEqual(["RDS r@2"]);
    expect(client.ack("RDS")).toEqual(["ECDS f@2"]);
  });

  describe("of clusters that a filter chooses", () => {
    /** A pool `x+y` and its members, named by the filter and by no route. */
    const pooled = (version: string, ...clusters: readonly string[]) =>
      snapshot(
        ...clusters.map((name) => (name.includes("+") ? `CDS:${name}@1 -> CDS:x CDS:y` : `CDS:${name}@1`)),
        "RDS:r@1",
        `ECDS:f@${version} -> ${clusters.map((name) => `CDS:${name}`).join(" ")}`,
      );

    function choosing(first: Snapshot): Client {
      const client = new Client(first);
      client.subscribe("CDS");
      client.ack("CDS");
      client.subscribe("RDS", "r");
      client.subscribe("ECDS", "f");
      client.ack("RDS", "ECDS");
      return client;
    }

    it("holds the filter's configuration back until the client has them", () => {
      const client = choosing(pooled("1", "x"));
      expect(client.publish(pooled("2", "x", "x+y", "y"))).toEqual(["CDS x@1 x+y@1 y@1"]);
      expect(client.ack("CDS")).toEqual(["ECDS f@2"]);
    });

    it("keeps pool and members until the client has left them", () => {
      const client = choosing(pooled("1", "x", "x+y", "y"));
      expect(client.publish(pooled("2", "x"))).toEqual(["ECDS f@2"]);
      expect(client.ack("ECDS")).toEqual(["CDS x@1"]);
    });

    it("holds the first configuration back only while clusters are on their way", () => {
      const client = new Client(pooled("1", "x", "x+y", "y"));
      client.subscribe("CDS");
      expect(client.subscribe("ECDS", "f")).toEqual([]);
      expect(client.nack("CDS", "Error adding/updating cluster(s) x+y: no such type")).toEqual(["ECDS f@1"]);
    });

    it("keeps the old configuration of a client that rejects the pool", () => {
      const client = choosing(pooled("1", "x"));
      client.publish(pooled("2", "x", "x+y", "y"));
      expect(client.nack("CDS", "Error adding/updating cluster(s) x+y: no such type")).toEqual([]);
      expect([...(client.session.watches.get(TypeUrl.cluster)?.held.keys() ?? [])]).toEqual(["x", "y"]);
    });

    it("does not keep changes from a client that works without the pool already", () => {
      const client = new Client(pooled("1", "x", "x+y", "y"));
      client.subscribe("CDS");
      client.subscribe("ECDS", "f");
      client.nack("CDS", "Error adding/updating cluster(s) x+y: no such type");
      client.ack("ECDS");
      expect(client.publish(pooled("2", "x", "x+y", "y"))).toEqual(["ECDS f@2"]);
      client.ack("ECDS");
      expect(client.publish(pooled("3", "x", "x+y", "x+z", "y"))).toEqual(["CDS x@1 x+y@1 x+z@1 y@1"]);
      expect(client.nack("CDS", "Error adding/updating cluster(s) x+y: no such type, x+z: no such type")).toEqual([]);
    });

    it("keeps the clusters of a configuration that is offered no more but still subscribed", () => {
      const client = choosing(pooled("1", "x"));
      const other = snapshot("CDS:z@1", "RDS:r@1", "ECDS:g@1 -> CDS:z");
      expect(client.publish(other)).toEqual(["CDS z@1 x@1"]);
      client.ack("CDS");
      expect(client.subscribe("ECDS", "f", "g")).toEqual(["ECDS g@1"]);
      expect(client.ack("ECDS")).toEqual([]);
      expect(client.subscribe("ECDS", "g")).toEqual(["CDS z@1"]);
    });
  });

  it("sends unchanged endpoints again right behind a changed cluster, before its ACK", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.subscribe("EDS", "a", "b");
    client.ack("CDS", "EDS");
    const changed = snapshot("CDS:a@2 -> EDS:a", "CDS:b@1 -> EDS:b", "EDS:a@1", "EDS:b@1");
    expect(client.publish(changed)).toEqual(["CDS a@2 b@1", "EDS a@1"]);
  });

  it("sends them again after the EDS response that was already on its way", () => {
    const client = new Client(two);
    client.subscribe("CDS");
    client.subscribe("EDS", "a", "b");
    client.ack("CDS");
    expect(client.publish(snapshot("CDS:a@2 -> EDS:a", "CDS:b@1 -> EDS:b", "EDS:a@1", "EDS:b@1"))).toEqual([
      "CDS a@2 b@1",
    ]);
    expect(client.ack("EDS")).toEqual(["EDS a@1"]);
  });

  it("sends unchanged routes again behind a changed listener", () => {
    const client = connected(world("x", "x"));
    const changed = snapshot("CDS:x@1 -> EDS:x", "EDS:x@1", "LDS:l@2 -> RDS:r", "RDS:r@x -> CDS:x");
    expect(client.publish(changed)).toEqual(["LDS l@2", "RDS r@x"]);
  });
});

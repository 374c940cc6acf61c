import { describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { consistent, danglingReferences } from "./consistency.ts";
import { createResource } from "./resource.ts";
import { createSnapshot } from "./snapshot.ts";
import { SnapshotCache } from "./snapshot-cache.ts";

const cluster = (name: string, timeout = 1, eds = false) =>
  createResource(
    TypeUrl.cluster,
    name,
    { name, connect_timeout: { seconds: timeout } },
    eds ? [{ typeUrl: TypeUrl.endpoints, name }] : [],
  );

describe("versions", () => {
  it("are a hash of the content: the same for the same resources in any order", () => {
    const [a, b] = [createSnapshot([cluster("a"), cluster("b")]), createSnapshot([cluster("b"), cluster("a")])];
    expect(a.version).toBe(b.version);
    expect(a.types.get(TypeUrl.cluster)?.version).toBe(b.types.get(TypeUrl.cluster)?.version);
  });

  it("change with content and with names, for the type that changed only", () => {
    const base = createSnapshot([cluster("a")]);
    const changed = createSnapshot([cluster("a", 2)]);
    expect(changed.types.get(TypeUrl.cluster)?.version).not.toBe(base.types.get(TypeUrl.cluster)?.version);
    expect(changed.types.get(TypeUrl.route)?.version).toBe(base.types.get(TypeUrl.route)?.version);
  });

  it("are known in advance, so that they survive restarts", () => {
    expect(cluster("a").version).toBe("5c701ec84c3d594b");
  });
});

describe("snapshot", () => {
  it("takes unchanged resources over from the one before", () => {
    const before = createSnapshot([cluster("a"), cluster("b")]);
    const after = createSnapshot([cluster("a"), cluster("b", 2)], before);
    const [old, fresh] = [before.types.get(TypeUrl.cluster)?.resources, after.types.get(TypeUrl.cluster)?.resources];
    expect(fresh?.get("a")).toBe(old?.get("a"));
    expect(fresh?.get("b")).not.toBe(old?.get("b"));
    expect(createSnapshot([cluster("a"), cluster("b")], before).types.get(TypeUrl.cluster)).toBe(
      before.types.get(TypeUrl.cluster),
    );
  });

  it("refuses two resources of one name", () => {
    expect(() => createSnapshot([cluster("a"), cluster("a", 2)])).toThrow("named a");
  });

  it("knows its dangling references; resources nobody names are fine", () => {
    const endpoints = createResource(TypeUrl.endpoints, "a", { cluster_name: "a" });
    expect(danglingReferences(createSnapshot([cluster("a", 1, true)])).map(({ to }) => to.name)).toEqual(["a"]);
    expect(consistent(createSnapshot([cluster("a", 1, true), endpoints, cluster("b")]))).toBe(true);
  });
});

describe("cache", () => {
  it("refuses an inconsistent snapshot by name and keeps the published one", () => {
    const cache = new SnapshotCache();
    const good = createSnapshot([cluster("a")]);
    cache.set("g", good);
    expect(() => cache.set("g", createSnapshot([cluster("b", 1, true)]))).toThrow("b -> b");
    expect(cache.get("g")).toBe(good);
  });

  it("tells watchers of the group about changes, and of changes only", () => {
    const cache = new SnapshotCache();
    const seen: string[] = [];
    const unwatch = cache.watch("g", ({ version }) => seen.push(version));
    cache.watch("other", () => seen.push("other"));
    const [one, two] = [createSnapshot([cluster("a")]), createSnapshot([cluster("b")])];
    expect(cache.set("g", one)).toBe(true);
    expect(cache.set("g", createSnapshot([cluster("a")]))).toBe(false);
    cache.set("g", two);
    unwatch();
    cache.set("g", one);
    expect(seen).toEqual([one.version, two.version]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { danglingReferences } from "./consistency.ts";
import { createResource, type Reference, type Resource } from "./resource.ts";
import { createSnapshot, type Snapshot, typeSnapshot, updateSnapshot } from "./snapshot.ts";
import { SnapshotCache } from "./snapshot-cache.ts";
import { collectionMembers, resourceList, resourceNamed, typeChanges } from "./snapshot-changes.ts";

const NAMES = ["a", "b", "c", "d", "e"];

/** A cluster or its endpoints; a cluster may name endpoints. */
function make(typeUrl: TypeUrl, name: string, version: number, names: readonly string[] = []): Resource {
  const references: Reference[] = names.map((each) => ({ typeUrl: TypeUrl.endpoints, name: each }));
  return { typeUrl, name, version: `${version}${names.join("")}`, any: new Uint8Array(), references };
}

const resourceOf = fc
  .tuple(
    fc.constantFrom(TypeUrl.cluster, TypeUrl.endpoints),
    fc.constantFrom(...NAMES),
    fc.nat(3),
    fc.subarray(NAMES, { maxLength: 2 }),
  )
  .map(([typeUrl, name, version, names]) => make(typeUrl, name, version, typeUrl === TypeUrl.cluster ? names : []));
const resources = fc.uniqueArray(resourceOf, { selector: ({ typeUrl, name }) => `${typeUrl}/${name}`, maxLength: 10 });

const flat = (snapshot: Snapshot) => [...snapshot.types.values()].flatMap((type) => [...type.resources.values()]);
const texts = (list: Iterable<Resource>) =>
  [...list].map(({ typeUrl, name, version }) => `${typeUrl}/${name}@${version}`).sort();

/** The difference, worked out the slow way. */
function differenceOf(before: Snapshot, after: Snapshot): { changed: string[]; removed: string[] } {
  const [old, fresh] = [texts(flat(before)), texts(flat(after))];
  const nameOf = (text: string) => text.slice(0, text.indexOf("@"));
  const names = new Set(fresh.map(nameOf));
  return {
    changed: fresh.filter((text) => !old.includes(text)),
    removed: old.filter((text) => !names.has(nameOf(text))),
  };
}

function changesOf(before: Snapshot, after: Snapshot): { changed: string[]; removed: string[] } {
  const all = [...after.types].map(([typeUrl, type]) => typeChanges(typeSnapshot(before, typeUrl), type));
  return { changed: texts(all.flatMap((each) => each.changed)), removed: texts(all.flatMap((each) => each.removed)) };
}

describe("changes between snapshots", () => {
  it("property: an update is what a new snapshot of the same resources is, and tells the same difference", () => {
    fc.assert(
      fc.property(resources, resources, fc.boolean(), (first, second, viaUpdate) => {
        const before = createSnapshot(first);
        const key = ({ typeUrl, name }: Resource) => `${typeUrl}/${name}`;
        const kept = new Set(second.map(key));
        const gone = first.filter((each) => !kept.has(key(each)));
        const anew = createSnapshot(second.map((each) => ({ ...each })));
        const updated = viaUpdate ? updateSnapshot(before, second, gone) : createSnapshot(second, before);
        expect(updated.version).toBe(anew.version);
        for (const [typeUrl, type] of anew.types) {
          expect(updated.types.get(typeUrl)?.version).toBe(type.version);
          expect([...(updated.types.get(typeUrl)?.resources.keys() ?? [])]).toEqual([...type.resources.keys()]);
        }
        expect(changesOf(before, updated)).toEqual(differenceOf(before, updated));
        expect(changesOf(before, anew)).toEqual(differenceOf(before, anew));
        expect(danglingReferences(updated).length).toBe(danglingReferences(anew).length);
      }),
    );
  });

  it("property: what is inconsistent is so against any consistent snapshot before it", () => {
    fc.assert(
      fc.property(resources, resources, (first, second) => {
        const before = createSnapshot(first);
        fc.pre(danglingReferences(before).length === 0);
        const after = createSnapshot(second, before);
        expect(danglingReferences(after, before)).toEqual(danglingReferences(after));
      }),
    );
  });

  it("are worked out once, and known without that after an update", () => {
    const before = createSnapshot([make(TypeUrl.cluster, "a", 1), make(TypeUrl.cluster, "b", 1)]);
    const clusters = typeSnapshot(before, TypeUrl.cluster);
    const b2 = make(TypeUrl.cluster, "b", 2);
    const updated = typeSnapshot(updateSnapshot(before, [b2]), TypeUrl.cluster);
    expect(typeChanges(clusters, updated).changed).toEqual([b2]);
    expect(typeChanges(clusters, updated)).toBe(typeChanges(clusters, updated));
    const other = typeSnapshot(createSnapshot([b2]), TypeUrl.cluster);
    expect(typeChanges(clusters, other)).toBe(typeChanges(clusters, other));
    expect(resourceList(other)).toBe(resourceList(other));
  });

  it("leave everything else as it was, in the same objects", () => {
    const before = createSnapshot([make(TypeUrl.cluster, "a", 1), make(TypeUrl.endpoints, "a", 1)]);
    const after = updateSnapshot(before, [make(TypeUrl.endpoints, "a", 2), make(TypeUrl.endpoints, "b", 1)]);
    expect(after.types.get(TypeUrl.cluster)).toBe(before.types.get(TypeUrl.cluster));
    expect(updateSnapshot(after, [make(TypeUrl.endpoints, "a", 2)]).types.get(TypeUrl.endpoints)).toBe(
      after.types.get(TypeUrl.endpoints),
    );
  });
});

describe("names that lead to resources", () => {
  const host = (name: string, ...aliases: string[]) =>
    createResource(TypeUrl.virtualHost, name, { name }, [], [], { aliases });

  it("are names, aliases and collections", () => {
    const [one, two] = ["x", "y"].map((id) => `xdstp://a/envoy.config.route.v3.VirtualHost/c/${id}`) as [
      string,
      string,
    ];
    const snapshot = createSnapshot([host("r/v", "r/a", "r/b"), host(one), host(two)]);
    const type = typeSnapshot(snapshot, TypeUrl.virtualHost);
    for (const name of ["r/v", "r/a", "r/b"]) expect(resourceNamed(type, name)?.name).toBe("r/v");
    expect(resourceNamed(type, "r/c")).toBeUndefined();
    const collection = "xdstp://a/envoy.config.route.v3.VirtualHost/c/*";
    expect(collectionMembers(type, collection).map(({ name }) => name)).toEqual([one, two]);
    expect(collectionMembers(type, `${collection}?x=1`)).toEqual([]);
  });

  it("lead to one resource only", () => {
    expect(() => createSnapshot([host("r/v", "r/a"), host("r/w", "r/a")])).toThrow("named r/a: r/v and r/w");
    expect(() => createSnapshot([host("r/v", "r/w"), host("r/w")])).toThrow("named r/w");
    expect(() => updateSnapshot(createSnapshot([host("r/v", "r/a")]), [host("r/w", "r/a")])).toThrow("named r/a");
    expect(() => updateSnapshot(createSnapshot([host("r/v", "r/a")]), [host("r/a")])).toThrow("named r/a");
    expect(() => updateSnapshot(createSnapshot([]), [host("r/v", "r/a"), host("r/a")])).toThrow("named r/a");
    const twice = updateSnapshot(createSnapshot([host("r/v", "r/a")]), [host("r/w")]);
    expect(() => updateSnapshot(twice, [host("r/a")])).toThrow("named r/a");
    expect(createSnapshot([host("r/v", "r/v", "r/a")]).types.get(TypeUrl.virtualHost)?.resources.size).toBe(1);
  });
});

describe("cache", () => {
  it("refuses what an update leaves without its target, and forgets groups on demand", () => {
    const cache = new SnapshotCache(() => "g");
    const good = createSnapshot([make(TypeUrl.cluster, "c", 1, ["a"]), make(TypeUrl.endpoints, "a", 1)]);
    cache.set("g", good);
    const target = { typeUrl: TypeUrl.endpoints, name: "a" };
    expect(() => cache.set("g", updateSnapshot(good, [], [target]))).toThrow("c -> a");
    expect(() => cache.set("g", updateSnapshot(good, [make(TypeUrl.cluster, "d", 1, ["x"])]))).toThrow("d -> x");
    expect(cache.get("g")).toBe(good);
    expect(cache.groups()).toEqual(["g"]);
    expect([cache.delete("g"), cache.delete("g"), cache.get("g")]).toEqual([true, false, undefined]);
  });
});

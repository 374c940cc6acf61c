import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EurekaInstance, InstanceStatus } from "./applications.ts";
import { InstanceRegistry } from "./instance-registry.ts";

const instance = (application: string, id: string, status: InstanceStatus = "UP", deleted = false): EurekaInstance => ({
  application,
  status,
  deleted,
  endpoint: { id, address: "10.0.0.1", port: 80, health: "healthy" },
});
const answer = (instances: readonly EurekaInstance[], hash?: string) => ({ instances, hash, version: undefined });
const ids = (registry: InstanceRegistry, application: string) =>
  registry
    .instancesOf(application)
    .map(({ id }) => id)
    .sort();

describe("registry of instances", () => {
  it("knows the instances of an application, in any case", () => {
    const registry = new InstanceRegistry();
    const step = registry.replace(answer([instance("WEB", "1"), instance("WEB", "2"), instance("API", "1")]));
    expect([...step.changed].sort()).toEqual(["API", "WEB"]);
    expect(ids(registry, "web")).toEqual(["1", "2"]);
    expect(ids(registry, "nobody")).toEqual([]);
    expect(registry.size).toBe(3);
  });

  it("counts instances by status, by the names of the statuses", () => {
    const registry = new InstanceRegistry();
    expect(registry.hash()).toBe("");
    const all = [
      instance("A", "1"),
      instance("A", "2", "OUT_OF_SERVICE"),
      instance("B", "1", "DOWN"),
      instance("B", "2"),
    ];
    registry.replace(answer(all));
    expect(registry.hash()).toBe("DOWN_1_OUT_OF_SERVICE_1_UP_2_");
  });

  it("follows a delta, and says what changed, what is gone and whether it is complete", () => {
    const registry = new InstanceRegistry();
    registry.replace(answer([instance("A", "1"), instance("B", "1"), instance("C", "1")]));
    const delta = [instance("A", "1", "DOWN"), instance("A", "2"), instance("B", "1", "UP", true)];
    const step = registry.apply(answer(delta, "DOWN_1_UP_2_"));
    expect([...step.changed].sort()).toEqual(["A", "B"]);
    expect(step.deleted).toEqual([delta[2]]);
    expect(step.complete).toBe(true);
    expect([ids(registry, "A"), ids(registry, "B"), ids(registry, "C")]).toEqual([["1", "2"], [], ["1"]]);
    expect(registry.apply(answer([], "DOWN_1_UP_3_")).complete).toBe(false);
    expect(registry.apply(answer([])).complete).toBe(true);
  });

  it("takes a delta twice as once, and the removal of who is not there as nothing", () => {
    const registry = new InstanceRegistry();
    const delta = answer([instance("A", "1"), instance("A", "2", "UP", true)]);
    registry.apply(delta);
    registry.apply(delta);
    expect([ids(registry, "A"), registry.size, registry.hash()]).toEqual([["1"], 1, "UP_1_"]);
  });

  it("replaces everything, and names what was there before as changed", () => {
    const registry = new InstanceRegistry();
    registry.replace(answer([instance("A", "1")]));
    const step = registry.replace(answer([instance("B", "1")]));
    expect([...step.changed].sort()).toEqual(["A", "B"]);
    expect([ids(registry, "A"), registry.size]).toEqual([[], 1]);
  });

  it("forgets an application with its last instance", () => {
    const registry = new InstanceRegistry();
    registry.replace(answer([instance("A", "1")]));
    registry.apply(answer([instance("A", "1", "UP", true)]));
    expect(registry.replace(answer([])).changed.size).toBe(0);
  });

  it("does not grow beyond its bound by deltas", () => {
    const registry = new InstanceRegistry();
    registry.replace(answer(Array.from({ length: 50_000 }, (_, i) => instance("A", String(i)))));
    expect(() => registry.apply(answer([instance("A", "one more")]))).toThrow("50000 instances");
  });

  it("is after any sequence of deltas what a full answer says", () => {
    const change = fc.record({
      application: fc.constantFrom("A", "B", "C"),
      id: fc.constantFrom("1", "2", "3"),
      status: fc.constantFrom<InstanceStatus>("UP", "DOWN", "STARTING"),
      deleted: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 20 }), (deltas) => {
        const registry = new InstanceRegistry();
        const truth = new Map<string, EurekaInstance>();
        for (const changes of deltas) {
          const instances = changes.map((each) => instance(each.application, each.id, each.status, each.deleted));
          for (const each of instances) {
            const key = `${each.application}/${each.endpoint.id}`;
            if (each.deleted) truth.delete(key);
            else truth.set(key, each);
          }
          const full = new InstanceRegistry();
          full.replace(answer([...truth.values()]));
          expect(registry.apply(answer(instances, full.hash())).complete).toBe(true);
          for (const application of ["A", "B", "C"]) expect(ids(registry, application)).toEqual(ids(full, application));
          expect(registry.size).toBe(truth.size);
        }
      }),
    );
  });
});

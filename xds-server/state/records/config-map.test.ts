import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RawObject } from "../../kubernetes/index.ts";
import { configMapOf, heldOf, type MadeChanges, nameOf, recordOf as recordWith } from "./config-map.ts";
import { MAX_KEY_LENGTH, MAX_VALUE_BYTES } from "./limits.ts";

const key = fc.string({
  unit: fc.constantFrom(..."abz019/._-"),
  minLength: 1,
  maxLength: MAX_KEY_LENGTH,
});

/** As the API server gives it back. */
const kept = (object: object, version = "7") => {
  const copy = JSON.parse(JSON.stringify(object));
  copy.metadata.resourceVersion = version;
  return copy;
};

const recordOf = (object: RawObject, made: MadeChanges = new Map()) => {
  const held = heldOf(object);
  return held && recordWith(held, made);
};

describe("a record as a ConfigMap", () => {
  it("has a name that Kubernetes takes, another for each key", () => {
    fc.assert(
      fc.property(key, key, (one, other) => {
        expect(nameOf(one)).toMatch(/^tokenmesh(-[a-z0-9]+)+$/);
        expect(nameOf(one).length).toBeLessThanOrEqual(253);
        expect(nameOf(one) === nameOf(other)).toBe(one === other);
      }),
    );
    expect(nameOf("weights/current")).toMatch(/^tokenmesh-weights-current-[0-9a-f]{40}$/);
    expect(nameOf("/._-")).toMatch(/^tokenmesh-[0-9a-f]{40}$/);
  });

  it("comes back as it was, whatever its text", () => {
    fc.assert(
      fc.property(key, fc.string({ unit: "binary", maxLength: 60 }), (name, value) => {
        expect(recordOf(kept(configMapOf(name, value)))).toEqual({ key: name, value, version: "7" });
      }),
    );
  });

  it("stays below the size of a request, also when its text is six times as long as JSON", () => {
    const value = "\u0001".repeat(MAX_VALUE_BYTES);
    const object = configMapOf("a", value);
    expect(JSON.stringify(object).length).toBeLessThan(3 * 1024 * 1024);
    expect(recordOf(kept(object))?.value === value).toBe(true);
  });

  it("is another write each time, and of a version only when one is expected", () => {
    const metadataOf = (object: object) => (object as { metadata: Record<string, unknown> }).metadata;
    const [first, second] = [metadataOf(configMapOf("a", "1")), metadataOf(configMapOf("a", "1", "9"))];
    expect(first.annotations).not.toEqual(second.annotations);
    expect([first.resourceVersion, second.resourceVersion]).toEqual([undefined, "9"]);
  });

  it("is none when its name is not that of its key, or when it has no value that fits", () => {
    const good = kept(configMapOf("a", "1"));
    expect(recordOf(good)).toBeDefined();
    expect(recordOf({ ...good, metadata: { ...good.metadata, name: "copy" } })).toBeUndefined();
    expect(recordOf({ ...good, metadata: { ...good.metadata, annotations: {} } })).toBeUndefined();
    expect(recordOf({ ...good, metadata: { ...good.metadata, resourceVersion: undefined } })).toBeUndefined();
    expect(recordOf({ ...good, data: {} })).toBeUndefined();
    expect(recordOf({ ...good, data: { value: "x".repeat(MAX_VALUE_BYTES + 1) } })).toBeUndefined();
    for (const junk of [null, 1, "x", []]) {
      expect(recordOf({ metadata: junk })).toBeUndefined();
      expect(recordOf({ ...good, data: junk, binaryData: junk })).toBeUndefined();
    }
  });
});

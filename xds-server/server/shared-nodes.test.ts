import fc from "fast-check";
import { expect, it } from "vitest";
import { nodeIdentity } from "../cache/index.ts";
import { SharedNodes } from "./shared-nodes.ts";

it("equal parts of nodes are one, and only those", () => {
  const nodes = new SharedNodes();
  const node = (id: string, zone: string) =>
    nodes.share(
      nodeIdentity(id, "edge", {
        locality: { region: "r", zone, subZone: "" },
        metadata: { labels: { app: "a" } },
        clientFeatures: ["x"],
      }),
    );
  const [one, other] = [node("1", "z"), node("2", "y")];
  expect(other.metadata).toBe(one.metadata);
  expect(other.clientFeatures).toBe(one.clientFeatures);
  expect(other.locality).not.toBe(one.locality);
  expect(node("3", "z").locality).toBe(one.locality);
});

it("numbers that JSON does not know are told apart", () => {
  const nodes = new SharedNodes();
  const values = [Number.NaN, null, Number.POSITIVE_INFINITY, 0, -0].map(
    (weight) => nodes.share(nodeIdentity("n", "c", { metadata: { weight } })).metadata.weight,
  );
  expect(values).toEqual([Number.NaN, null, Number.POSITIVE_INFINITY, 0, -0]);
});

it("property: a node says what it said before", () => {
  const text = fc.string({ maxLength: 3 });
  const node = fc.record({
    id: text,
    zone: text,
    features: fc.array(text),
    metadata: fc.dictionary(text, fc.jsonValue()),
  });
  const nodes = new SharedNodes();
  fc.assert(
    fc.property(node, ({ id, zone, features, metadata }) => {
      const rest = { locality: { region: "", zone, subZone: "" }, metadata, clientFeatures: features };
      const said = nodeIdentity(id, "c", structuredClone(rest));
      expect(nodes.share(said)).toEqual(said);
    }),
  );
});

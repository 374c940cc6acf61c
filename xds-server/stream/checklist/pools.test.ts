/** Order of clusters that a filter chooses: pools and their members, named by a filter configuration and by no route. */
import { expect } from "vitest";
import { both } from "./checklist.ts";
import { snapshot, type TestClient } from "./test-client.ts";

const NO_POOLS = "Error adding/updating cluster(s) x+y: no such type";

/** `x+y` is a pool of `x` and `y`; the filter names all clusters. */
const pooled = (version: string, ...clusters: readonly string[]) =>
  snapshot(
    ...clusters.map((name) => (name.includes("+") ? `CDS:${name}@1 -> CDS:x CDS:y` : `CDS:${name}@1`)),
    "RDS:r@1",
    `ECDS:f@${version} -> ${clusters.map((name) => `CDS:${name}`).join(" ")}`,
  );

function choosing(client: TestClient): TestClient {
  client.subscribe("CDS");
  client.ack("CDS");
  client.subscribe("RDS", "r");
  client.subscribe("ECDS", "f");
  client.ack("RDS", "ECDS");
  return client;
}

both("a filter's configuration waits until the client has the clusters that it chooses", (connect) => {
  const client = choosing(connect(pooled("1", "x")));
  expect(client.publish(pooled("2", "x", "x+y", "y"))).toEqual(["CDS x+y@1 y@1"]);
  expect(client.ack("CDS")).toEqual(["ECDS f@2"]);
});

both("pools and members stay until the filter that chooses them has left them", (connect) => {
  const client = choosing(connect(pooled("1", "x", "x+y", "y")));
  expect(client.publish(pooled("2", "x"))).toEqual(["ECDS f@2"]);
  expect(client.ack("ECDS")).toEqual(["CDS -x+y -y"]);
});

both("the first configuration waits only while clusters are on their way", (connect) => {
  const client = connect(pooled("1", "x", "x+y", "y"));
  client.subscribe("CDS");
  expect(client.subscribe("ECDS", "f")).toEqual([]);
  expect(client.nack("CDS", NO_POOLS)).toEqual(["ECDS f@1"]);
});

both("a client that rejects the pool keeps its old configuration", (connect) => {
  const client = choosing(connect(pooled("1", "x")));
  client.publish(pooled("2", "x", "x+y", "y"));
  expect(client.nack("CDS", NO_POOLS)).toEqual([]);
  expect(client.has("CDS")).toBe("x@1 y@1");
});

both("changes are not kept from a client that works without the pool already", (connect) => {
  const client = connect(pooled("1", "x", "x+y", "y"));
  client.subscribe("CDS");
  client.subscribe("ECDS", "f");
  client.nack("CDS", NO_POOLS);
  client.ack("ECDS");
  expect(client.publish(pooled("2", "x", "x+y", "y"))).toEqual(["ECDS f@2"]);
  client.ack("ECDS");
  expect(client.publish(pooled("3", "x", "x+y", "x+z", "y"))).toEqual(["CDS x+z@1"]);
  expect(client.nack("CDS", `${NO_POOLS}, x+z: no such type`)).toEqual([]);
});

both("clusters of a configuration that is offered no more stay while it is subscribed", (connect) => {
  const client = choosing(connect(pooled("1", "x")));
  expect(client.publish(snapshot("CDS:z@1", "RDS:r@1", "ECDS:g@1 -> CDS:z"))).toEqual(["CDS z@1"]);
  client.ack("CDS");
  expect(client.subscribe("ECDS", "g")).toEqual(["ECDS g@1"]);
  expect(client.ack("ECDS")).toEqual([]);
  expect(client.subscribe("ECDS", "-f")).toEqual(["CDS -x"]);
});

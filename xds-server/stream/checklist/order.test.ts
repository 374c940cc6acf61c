import { expect } from "vitest";
import { ALL, both, delta, oneOfEach } from "./checklist.ts";
import { snapshot, type TestClient } from "./test-client.ts";

/** A listener, its route, and the clusters; the route goes to `target`. */
const world = (target: string, ...clusters: readonly string[]) =>
  snapshot(
    ...clusters.flatMap((name) => [`CDS:${name}@1 -> EDS:${name}`, `EDS:${name}@1`]),
    "LDS:l@1 -> RDS:r",
    `RDS:r@${target} -> CDS:${target}`,
  );

function started(client: TestClient): TestClient {
  client.subscribe("CDS");
  client.subscribe("EDS", "x");
  client.ack("CDS", "EDS");
  client.subscribe("LDS");
  client.subscribe("RDS", "r");
  client.ack("LDS", "RDS");
  return client;
}

both("is CDS, EDS, SDS, LDS, SRDS, RDS, VHDS, ECDS, RTDS", (connect) => {
  const client = connect(oneOfEach(1));
  for (const type of [...ALL].reverse()) client.request(type, ["x"]);
  const lines = client.read().map((line) => line.replace(" x/?", ""));
  expect(lines).toEqual(ALL.map((type) => `${type} x@1`));
});

both("a route waits until the client has accepted its cluster", (connect) => {
  const client = started(connect(world("x", "x")));
  expect(client.publish(world("y", "x", "y"))).toEqual(["CDS y@1"]);
  expect(client.subscribe("EDS", "y")).toEqual(["EDS y@1"]);
  expect(client.ack("EDS")).toEqual([]);
  expect(client.ack("CDS")).toEqual(["RDS r@y"]);
});

both("one intent adds a cluster, moves the route and removes the old cluster, in this order", (connect, variant) => {
  const client = started(connect(world("x", "x")));
  expect(client.publish(world("y", "y"))).toEqual(["CDS y@1"]);
  expect(client.subscribe("EDS", "y")).toEqual(["EDS y@1"]);
  expect(client.ack("EDS")).toEqual([]);
  expect(client.ack("CDS")).toEqual(["RDS r@y"]);
  expect(client.has("CDS")).toBe("x@1 y@1");
  expect(client.ack("RDS")).toEqual(["CDS -x"]);
  // The endpoints go when the cluster is gone, unless the client has unsubscribed them by then.
  expect(client.ack("CDS")).toEqual(variant === "sotw" ? [] : ["EDS -x"]);
});

both("the old cluster stays while the client rejects the new route", (connect) => {
  const client = started(connect(world("x", "x")));
  client.publish(world("y", "y"));
  client.ack("CDS");
  expect(client.nack("RDS", "r: no")).toEqual([]);
  expect(client.has("CDS")).toBe("x@1 y@1");
});

both("the old route stays while the client rejects the new cluster", (connect) => {
  const client = started(connect(world("x", "x")));
  client.publish(world("y", "x", "y"));
  expect(client.nack("CDS", "Error adding/updating cluster(s) y: no")).toEqual([]);
  expect(client.has("RDS")).toBe("r@x");
});

both("a route waits while a response that takes its cluster away is on its way", (connect) => {
  const client = started(connect(world("x", "x", "y")));
  expect(client.publish(world("x", "x"))).toEqual(["CDS -y"]);
  expect(client.publish(world("y", "x", "y"))).toEqual([]);
  expect(client.ack("CDS")).toEqual(["CDS y@1"]);
  expect(client.ack("CDS")).toEqual(["RDS r@y"]);
});

both("a cluster stays while a route to it is on its way", (connect) => {
  const client = started(connect(world("x", "x", "y")));
  expect(client.publish(world("y", "x", "y"))).toEqual(["RDS r@y"]);
  expect(client.publish(world("x", "x"))).toEqual([]);
  expect(client.ack("RDS")).toEqual(["RDS r@x"]);
  expect(client.ack("RDS")).toEqual(["CDS -y"]);
});

both("a listener and a virtual host wait for their clusters, too", (connect) => {
  for (const type of ["LDS", "VHDS"] as const) {
    const named = (target: string, ...clusters: string[]) =>
      snapshot(
        ...clusters.map((name) => `CDS:${name}@1`),
        `${type}:l@${target} -> CDS:${target}`,
        `${type}:m@${target}`,
      );
    const client = connect(named("x", "x"));
    client.subscribe("CDS");
    client.ack("CDS");
    client.subscribe(type, "*");
    client.ack(type);
    // The other listener does not wait.
    expect(client.publish(named("y", "y"))).toEqual(["CDS y@1", `${type} m@y`]);
    client.ack(type);
    expect(client.ack("CDS")).toEqual([`${type} l@y`]);
    expect(client.ack(type)).toEqual(["CDS -x"]);
  }
});

both("the first listeners wait until the clusters that they name are answered", (connect, variant) => {
  const client = connect(snapshot("CDS:x@1", "LDS:l@1 -> CDS:x", "LDS:m@1"));
  client.subscribe("CDS");
  // State-of-the-world says all or nothing.
  expect(client.subscribe("LDS")).toEqual(variant === "sotw" ? [] : ["LDS m@1"]);
  client.answer("LDS");
  expect(client.ack("CDS")).toEqual([variant === "sotw" ? "LDS l@1 m@1" : "LDS l@1"]);
  client.ack("LDS");
  expect(client.has("LDS")).toBe("l@1 m@1");
});

both("a changed filter configuration waits while routes are on their way", (connect) => {
  const filtered = (version: number) => snapshot("CDS:a@1", `RDS:r@${version} -> CDS:a`, `ECDS:f@${version}`);
  const client = connect(filtered(1));
  client.subscribe("CDS");
  client.subscribe("RDS", "r");
  client.ack("CDS");
  client.subscribe("ECDS", "f");
  client.ack("RDS", "ECDS");
  expect(client.publish(filtered(2))).toEqual(["RDS r@2"]);
  expect(client.ack("RDS")).toEqual(["ECDS f@2"]);
});

delta("removals go in reverse: the listener, then its route and secret, then the clusters", (connect) => {
  const full = snapshot(
    "CDS:x@1 -> EDS:x SDS:upstream",
    "EDS:x@1",
    "SDS:upstream@1",
    "SDS:downstream@1",
    "LDS:l@1 -> RDS:r SDS:downstream",
    "RDS:r@1 -> CDS:x",
  );
  const client = connect(full);
  for (const type of ["CDS", "EDS", "SDS", "LDS", "RDS"] as const) client.request(type, ["*"]);
  client.read();
  client.ack("CDS", "EDS", "SDS", "LDS");
  client.ack("RDS", "SDS");
  expect(client.publish(snapshot("RTDS:layer@1"))).toEqual(["LDS -l"]);
  expect(client.ack("LDS")).toEqual(["SDS -downstream", "RDS -r"]);
  expect(client.ack("RDS")).toEqual(["CDS -x"]);
  expect(client.ack("SDS")).toEqual([]);
  expect(client.ack("CDS")).toEqual(["EDS -x", "SDS -upstream"]);
});

delta(
  "after a reconnect a cluster that is gone stays until nothing of unknown version is left that may name it",
  (connect) => {
    const client = connect(world("y", "y"));
    client.request("RDS", ["r"], { has: ["r@x"] });
    client.request("CDS", [], { has: ["x@1"] });
    expect(client.read()).toEqual(["CDS y@1"]);
    expect(client.ack("CDS")).toEqual(["RDS r@y"]);
    expect(client.ack("RDS")).toEqual(["CDS -x"]);
  },
);

both("a client that takes no clusters from this stream waits for none", (connect) => {
  const client = connect(world("x", "x"));
  client.subscribe("RDS", "r");
  client.ack("RDS");
  expect(client.publish(world("y", "y"))).toEqual(["RDS r@y"]);
});

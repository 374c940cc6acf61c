import { expect } from "vitest";
import { TypeUrl } from "../../../protos/index.ts";
import { createResource, createSnapshot } from "../../cache/index.ts";
import { both, delta } from "./checklist.ts";
import { snapshot, type TestClient } from "./test-client.ts";

const base = "xdstp://auth/envoy.config.cluster.v3.Cluster";
const named = (...names: readonly string[]) =>
  createSnapshot(names.map((name) => createResource(TypeUrl.cluster, name, { name })));
const shown = (client: TestClient) =>
  client
    .has("CDS")
    .replaceAll(`${base}/`, "")
    .replace(/@[0-9a-f]+/g, "");

both("context parameters of xdstp names are a set", (connect) => {
  const client = connect(named(`${base}/foo/a?y=2&x=1`));
  client.subscribe("CDS", `${base}/foo/a?x=1&y=2`);
  client.ack("CDS");
  expect(shown(client)).toBe("foo/a?x=1&y=2");
  const other = connect(named(`${base}/foo/a?y=2&x=1`));
  other.subscribe("CDS", `${base}/foo/a?y=2&x=1`);
  expect(other.carried).toBe(1);
});

both("a collection gives its members, with the same context, and new ones as they come", (connect) => {
  const client = connect(named(`${base}/foo/a`, `${base}/foo/b`, `${base}/foo/c?x=1`, `${base}/foo/b/d`, "plain"));
  client.subscribe("CDS", `${base}/foo/*`);
  client.ack("CDS");
  expect(shown(client)).toBe("foo/a foo/b");
  client.publish(named(`${base}/foo/b`, `${base}/foo/e`, `${base}/bar/f`));
  client.ack("CDS");
  expect(shown(client)).toBe("foo/b foo/e");
});

delta("an empty collection is answered with its removal", (connect) => {
  const client = connect(named("plain"));
  expect(client.subscribe("CDS", `${base}/foo/*`)).toEqual([`CDS -${base}/foo/*`]);
});

delta("a virtual host is found by any of its aliases", (connect) => {
  const hosts = (version: number) => snapshot(`VHDS:r/v@${version} alias=r/a.test,r/b.test`, "VHDS:r/w@1");
  const client = connect(hosts(1));
  expect(client.subscribe("VHDS", "r/a.test")).toEqual(["VHDS r/v@1"]);
  client.ack("VHDS");
  expect(client.subscribe("VHDS", "r/b.test")).toEqual(["VHDS r/v@1"]);
  client.ack("VHDS");
  expect(client.subscribe("VHDS", "-r/a.test")).toEqual([]);
  expect(client.publish(hosts(2))).toEqual(["VHDS r/v@2"]);
  client.ack("VHDS");
  client.subscribe("VHDS", "-r/b.test");
  expect(client.publish(hosts(3))).toEqual([]);
});

delta(
  "a virtual host that does not exist is answered without body, so that the request goes on, and comes when it exists",
  (connect) => {
    const client = connect(snapshot("RDS:r@1"));
    expect(client.subscribe("VHDS", "r/none.test")).toEqual(["VHDS r/none.test?"]);
    client.ack("VHDS");
    expect(client.publish(snapshot("RDS:r@1", "VHDS:r/v@1 alias=r/none.test"))).toEqual(["VHDS r/v@1"]);
    client.ack("VHDS");
    expect(client.publish(snapshot("RDS:r@1"))).toEqual(["VHDS -r/v"]);
  },
);

delta("an alias may move to another virtual host", (connect) => {
  const client = connect(snapshot("VHDS:r/v@1 alias=r/a.test,r/b.test"));
  client.subscribe("VHDS", "r/a.test");
  client.ack("VHDS");
  expect(client.publish(snapshot("VHDS:r/v@2 alias=r/b.test", "VHDS:r/w@1 alias=r/a.test"))).toEqual([
    "VHDS r/v@2 r/w@1",
  ]);
});

delta(
  "after a reconnect a virtual host is gone or changed although none of the names that were asked for leads to it",
  (connect) => {
    const client = connect(snapshot("VHDS:r/w@2 alias=r/b.test"));
    expect(client.reconnect("VHDS", ["r/a.test"], ["r/v@1", "r/w@1"])).toEqual(["VHDS r/w@2 -r/v r/a.test?"]);
    client.ack("VHDS");
    expect(client.subscribe("VHDS", "r/c.test")).toEqual(["VHDS r/c.test?"]);
    expect(client.ack("VHDS")).toEqual([]);
  },
);

delta(
  "a first request for virtual hosts without names is answered for every route configuration, because Envoy waits for it",
  (connect) => {
    const routes = ["RDS:a/r@1", "RDS:s@1"];
    const client = connect(snapshot(...routes, "VHDS:s/h@1"));
    expect(client.subscribe("VHDS")).toEqual(["VHDS a/r/? s/?"]);
    client.ack("VHDS");
    expect(client.subscribe("VHDS", "s/h")).toEqual(["VHDS s/h@1"]);

    const aggregated = connect(snapshot(...routes));
    aggregated.subscribe("RDS", "s");
    aggregated.ack("RDS");
    expect(aggregated.subscribe("VHDS")).toEqual(["VHDS s/?"]);
    aggregated.ack("VHDS");
    // It does not ask again for the hosts of another route configuration.
    expect(aggregated.subscribe("RDS", "a/r")).toEqual(["RDS a/r@1", "VHDS a/r/?"]);
  },
);

delta("what was unsubscribed and subscribed again while it was on its way is known to be there", (connect) => {
  const client = connect(snapshot("VHDS:r/c@1 alias=r/c.test"));
  expect(client.subscribe("VHDS", "r/c.test")).toEqual(["VHDS r/c@1"]);
  client.request("VHDS", ["-r/c.test"]);
  client.request("VHDS", ["r/c.test"]);
  expect(client.publish(snapshot())).toEqual(["VHDS r/c.test?"]);
  expect(client.ack("VHDS")).toEqual([]);
  expect(client.ack("VHDS")).toEqual(["VHDS -r/c"]);
});

delta("a collection stays subscribed when other names come and go", (connect) => {
  const client = connect(named(`${base}/foo/a`, "plain"));
  client.subscribe("CDS", `${base}/foo/*`);
  client.ack("CDS");
  client.subscribe("CDS", "plain");
  client.ack("CDS");
  client.subscribe("CDS", "-plain");
  client.publish(named(`${base}/foo/a`, `${base}/foo/b`));
  client.ack("CDS");
  expect(shown(client)).toBe("foo/a foo/b");
});

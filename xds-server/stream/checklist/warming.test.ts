import { expect } from "vitest";
import { both, delta, two } from "./checklist.ts";
import { snapshot } from "./test-client.ts";

both("unchanged endpoints are sent again right behind a changed cluster, before its ACK", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.subscribe("EDS", "a", "b");
  client.ack("CDS", "EDS");
  const changed = snapshot("CDS:a@2 -> EDS:a", "CDS:b@1 -> EDS:b", "EDS:a@1", "EDS:b@1");
  expect(client.publish(changed)).toEqual(["CDS a@2", "EDS a@1"]);
  expect(client.ack("EDS", "CDS")).toEqual([]);
});

both("and once more behind the EDS response that was already on its way", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.subscribe("EDS", "a", "b");
  client.ack("CDS");
  const changed = snapshot("CDS:a@2 -> EDS:a", "CDS:b@1 -> EDS:b", "EDS:a@1", "EDS:b@1");
  expect(client.publish(changed)).toEqual(["CDS a@2"]);
  expect(client.ack("EDS")).toEqual(["EDS a@1"]);
});

both("unchanged secrets are sent again behind a changed cluster or listener that names them", (connect) => {
  const tls = (cluster: number, listener: number) =>
    snapshot(`CDS:c@${cluster} -> SDS:s`, "SDS:s@1", "SDS:t@1", `LDS:l@${listener} -> SDS:s SDS:t`);
  const client = connect(tls(1, 1));
  client.subscribe("CDS");
  client.subscribe("SDS", "s", "t");
  client.subscribe("LDS");
  // Once more, for the listener that came later.
  expect(client.ack("CDS", "SDS", "LDS")).toEqual(["SDS s@1 t@1"]);
  client.ack("SDS");
  expect(client.publish(tls(2, 1))).toEqual(["CDS c@2", "SDS s@1"]);
  client.ack("CDS", "SDS");
  expect(client.publish(tls(2, 2))).toEqual(["LDS l@2", "SDS s@1 t@1"]);
});

both("unchanged routes are sent again behind a changed listener or scope", (connect) => {
  for (const type of ["LDS", "SRDS"] as const) {
    const routed = (version: number) => snapshot(`${type}:l@${version} -> RDS:r`, "RDS:r@1", "RDS:s@1");
    const client = connect(routed(1));
    client.subscribe(type);
    client.subscribe("RDS", "r", "s");
    client.ack(type, "RDS");
    expect(client.publish(routed(2))).toEqual([`${type} l@2`, "RDS r@1"]);
  }
});

both(
  "virtual hosts are sent again behind their changed route configuration, and those of others are not",
  (connect) => {
    const hosts = (version: number) => snapshot(`RDS:a/r@${version}`, "VHDS:a/r/h@1", "VHDS:a/s/h@1", "VHDS:a/h@1");
    const client = connect(hosts(1));
    client.subscribe("RDS", "a/r");
    client.subscribe("VHDS", "a/r/h", "a/s/h", "a/h");
    client.ack("RDS", "VHDS");
    expect(client.publish(hosts(2))).toEqual(["RDS a/r@2", "VHDS a/r/h@1"]);
  },
);

delta("also after a reconnect in which nothing had to be sent", (connect) => {
  const tls = (listener: number) => snapshot("SDS:s@1", `LDS:l@${listener} -> SDS:s`);
  const client = connect(tls(1));
  expect(client.reconnect("SDS", ["s"], ["s@1"])).toEqual([]);
  expect(client.reconnect("LDS", [], ["l@1"])).toEqual([]);
  expect(client.publish(tls(2))).toEqual(["LDS l@2", "SDS s@1"]);
});

delta("also when the reconnect brings the change", (connect) => {
  const client = connect(snapshot("CDS:a@2 -> EDS:a", "EDS:a@1"));
  expect(client.reconnect("EDS", ["a"], ["a@1"])).toEqual([]);
  expect(client.reconnect("CDS", [], ["a@1"])).toEqual(["CDS a@2", "EDS a@1"]);
});

both("nothing is sent again behind a cluster that is only sent again", (connect) => {
  const client = connect(two);
  client.subscribe("CDS", "a");
  client.subscribe("EDS", "a", "b");
  client.ack("CDS", "EDS");
  expect(client.subscribe("CDS", "b")).toEqual(["CDS b@1", "EDS b@1"]);
  client.ack("CDS", "EDS");
  if (client.variant === "delta") expect(client.subscribe("CDS", "a")).toEqual(["CDS a@1"]);
});

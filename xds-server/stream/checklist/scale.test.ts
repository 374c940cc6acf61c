import { expect } from "vitest";
import { type Snapshot, SnapshotCache } from "../../cache/index.ts";
import { ALL, both, oneOfEach, two } from "./checklist.ts";
import { snapshot } from "./test-client.ts";

both("a change of one group leaves the nodes of the others alone", (connect) => {
  const cache = new SnapshotCache((node) => node.cluster);
  for (const group of ["one", "other"]) cache.set(group, two);
  const clients = ["one", "other"].map((group) => {
    const client = connect(cache.get(group) as Snapshot);
    cache.watch(group, (next) => client.session.publish(next));
    client.subscribe("EDS", "a");
    client.ack("EDS");
    return client;
  });
  cache.set("one", snapshot("EDS:a@2"));
  expect(clients.map((client) => client.read())).toEqual([["EDS a@2"], []]);
});

both("a dangling reference is refused by name, and what is served stays", (connect) => {
  const cache = new SnapshotCache();
  cache.set("default", two);
  const client = connect(two);
  cache.watch("default", (next) => client.session.publish(next));
  client.subscribe("CDS");
  client.ack("CDS");
  expect(() => cache.set("default", snapshot("CDS:c@1 -> EDS:gone"))).toThrow("c -> gone");
  expect(client.read()).toEqual([]);
});

both("a slow client delays nobody and keeps nothing", (connect) => {
  const [slow, quick] = [connect(two), connect(two)];
  for (const client of [slow, quick]) client.subscribe("EDS", "a", "b");
  quick.ack("EDS");
  for (let version = 2; version < 200; version++) {
    const next = snapshot(`EDS:a@${version}`, "EDS:b@1");
    slow.session.publish(next);
    expect(quick.publish(next)).toEqual([`EDS a@${version}`]);
    quick.ack("EDS");
  }
  expect(slow.read()).toEqual([]);
  expect(slow.ack("EDS")).toEqual(["EDS a@199"]);
});

both("every type is delivered and updated alone", (connect) => {
  for (const type of ALL) {
    const client = connect(oneOfEach(1));
    for (const each of ALL) client.subscribe(each, "x");
    for (const each of ALL) client.answer(each);
    expect(client.read()).toEqual([]);
    const lines = ALL.map((each) => `${each}:x@${each === type ? 2 : 1}`);
    expect(client.publish(snapshot(...lines)).filter((line) => !line.startsWith("VHDS"))).toEqual(
      type === "VHDS" ? [] : [`${type} x@2`],
    );
  }
});

import { expect } from "vitest";
import { TypeUrl } from "../../../protos/index.ts";
import { supportsTtl } from "../heartbeats.ts";
import { both } from "./checklist.ts";
import { snapshot } from "./test-client.ts";

const lasting = snapshot("EDS:a@1 ttl=3000", "EDS:b@1", "CDS:c@1 ttl=6000", "CDS:d@1");

both("a heartbeat without body goes out within half of it, again and again", (connect) => {
  const client = connect(lasting, { ttl: true });
  client.subscribe("EDS", "a", "b");
  client.ack("EDS");
  for (let round = 1; round <= 5; round++) {
    const deadline = client.session.nextDeadline() as number;
    expect(deadline - client.now).toBeGreaterThan(0);
    expect(deadline - client.now).toBeLessThanOrEqual(1_500);
    client.now = deadline - 1;
    expect(client.read()).toEqual([]);
    client.now = deadline;
    expect(client.read()).toEqual(["EDS a~"]);
    client.ack("EDS");
  }
  expect(client.carried).toBe(2);
});

both(
  "clusters are kept alive, in state-of-the-world by the whole, because a response without them removes them",
  (connect, variant) => {
    const client = connect(lasting, { ttl: true });
    client.subscribe("CDS");
    client.ack("CDS");
    client.carried = 0;
    client.now = client.session.nextDeadline() as number;
    expect(client.read()).toEqual([variant === "sotw" ? "CDS" : "CDS c~"]);
    expect(client.carried).toBe(variant === "sotw" ? 2 : 0);
    client.ack("CDS");
    expect(client.has("CDS")).toBe("c@1 d@1");
  },
);

both("a change begins the time again, and a resource that lost its TTL has no heartbeat", (connect) => {
  const client = connect(lasting, { ttl: true });
  client.subscribe("EDS", "a");
  client.ack("EDS");
  client.now += 900;
  client.publish(snapshot("EDS:a@2 ttl=3000"));
  client.ack("EDS");
  expect(client.session.nextDeadline()).toBe(client.now + 1_000);
  client.publish(snapshot("EDS:a@3"));
  client.ack("EDS");
  expect(client.session.nextDeadline()).toBeUndefined();
});

both("there is none before the answer, which says what version the client has", (connect) => {
  const client = connect(lasting, { ttl: true });
  client.subscribe("EDS", "a");
  expect(client.session.nextDeadline()).toBeUndefined();
  client.now += 2_000;
  expect(client.read()).toEqual([]);
  expect(client.ack("EDS")).toEqual(["EDS a~"]);
});

both("of a rejected version the version that is held is kept alive, and what is held no more is not", (connect) => {
  const client = connect(lasting, { ttl: true });
  client.subscribe("EDS", "a");
  client.ack("EDS");
  client.publish(snapshot("EDS:a@bad ttl=3000"));
  client.nack("EDS", "a: no");
  client.now = client.session.nextDeadline() as number;
  const due = client.session.next(client.now);
  const beats = due !== undefined && "heartbeats" in due ? due.heartbeats : due?.resources;
  expect(JSON.stringify(beats)).toContain('"version":"1"');
  if (due !== undefined && "heartbeats" in due) expect(due.version).toBe(lasting.types.get(TypeUrl.endpoints)?.version);

  const first = connect(lasting, { ttl: true });
  first.subscribe("EDS", "a");
  first.nack("EDS", "a: no");
  first.now += 5_000;
  expect(first.read()).toEqual([]);
  expect(first.session.nextDeadline()).toBeUndefined();
});

both("what was unsubscribed has no heartbeat", (connect) => {
  const client = connect(lasting, { ttl: true });
  client.subscribe("EDS", "a", "b");
  client.ack("EDS");
  client.subscribe("EDS", "-a");
  client.now += 5_000;
  expect(client.read()).toEqual([]);
  expect(client.session.nextDeadline()).toBeUndefined();
});

both("heartbeats that are due soon go together", (connect) => {
  const client = connect(snapshot("EDS:a@1 ttl=3000", "EDS:b@1 ttl=3000"), { ttl: true });
  client.subscribe("EDS", "a");
  client.ack("EDS");
  client.now += 100;
  client.subscribe("EDS", "b");
  client.ack("EDS");
  client.now += 900;
  expect(client.read()).toEqual(["EDS a~ b~"]);
});

both("is for clients that know it", (connect) => {
  const client = connect(lasting);
  client.subscribe("EDS", "a");
  client.ack("EDS");
  client.now += 10_000;
  expect(client.read()).toEqual([]);
  expect(client.session.nextDeadline()).toBeUndefined();
  expect(supportsTtl(["xds.config.supports-resource-ttl"], "delta")).toBe(true);
  expect(supportsTtl(["xds.config.supports-resource-ttl"], "sotw")).toBe(false);
  expect(supportsTtl(["xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw"], "sotw")).toBe(true);
});

both("there is none for a resource whose change is on its way", (connect) => {
  const client = connect(snapshot("EDS:a@1 ttl=3000"), { ttl: true });
  client.subscribe("EDS", "a");
  client.ack("EDS");
  expect(client.publish(snapshot("EDS:a@2 ttl=3000"))).toEqual(["EDS a@2"]);
  expect(client.session.nextDeadline()).toBeUndefined();
  client.now += 2_000;
  expect(client.read()).toEqual([]);
  expect(client.ack("EDS")).toEqual(["EDS a~"]);
});

import { expect } from "vitest";
import { TypeUrl } from "../../../protos/index.ts";
import { ALL, both, delta, oneOfEach, sotw, two } from "./checklist.ts";
import { snapshot } from "./test-client.ts";

both("an empty first request is everything for clusters, listeners and scopes, and nothing for the rest", (connect) => {
  const client = connect(oneOfEach(1));
  for (const type of ["CDS", "LDS", "SRDS"] as const) expect(client.subscribe(type)).toEqual([`${type} x@1`]);
  for (const type of ["EDS", "RDS", "ECDS", "SDS", "RTDS"] as const) expect(client.subscribe(type)).toEqual([]);
});

both("a wildcard over nothing is answered with an empty response, because Envoy waits for it", (connect) => {
  expect(connect(snapshot("EDS:a@1")).subscribe("CDS")).toEqual(["CDS"]);
});

both("* is everything, also beside names, for every type", (connect) => {
  expect(connect(two).subscribe("CDS", "*")).toEqual(["CDS a@1 b@1"]);
  expect(connect(two).subscribe("CDS", "*", "a")).toEqual(["CDS a@1 b@1"]);
  expect(connect(two).subscribe("EDS", "*")).toEqual(["EDS a@1 b@1"]);
});

both("the names stay when * is dropped", (connect) => {
  const client = connect(two);
  client.subscribe("CDS", "*", "a");
  client.ack("CDS");
  expect(client.subscribe("CDS", "-*")).toEqual([]);
  expect(client.publish(snapshot("CDS:a@1", "CDS:b@2"))).toEqual([]);
  expect(client.publish(snapshot("CDS:a@2", "CDS:b@2"))).toEqual(["CDS a@2"]);
});

both("* after a name is everything that was not sent yet", (connect) => {
  const client = connect(two);
  client.subscribe("CDS", "a");
  client.ack("CDS");
  expect(client.subscribe("CDS", "*")).toEqual(["CDS b@1"]);
});

sotw("names end an implicit wildcard", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.ack("CDS");
  client.subscribe("CDS", "a");
  expect(client.publish(snapshot("CDS:a@1", "CDS:b@2"))).toEqual([]);
});

delta("names do not end an implicit wildcard, unsubscribing * does", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.ack("CDS");
  expect(client.subscribe("CDS", "a")).toEqual(["CDS a@1"]);
  client.ack("CDS");
  expect(client.publish(snapshot("CDS:a@1", "CDS:b@2"))).toEqual(["CDS b@2"]);
  client.ack("CDS");
  expect(client.subscribe("CDS", "-*")).toEqual([]);
  expect(client.publish(snapshot("CDS:a@1", "CDS:b@3"))).toEqual([]);
});

delta("a name that is dropped under a wildcard is answered with its resource or its removal", (connect) => {
  const client = connect(two);
  client.subscribe("CDS", "*", "a", "none");
  client.ack("CDS");
  expect(client.subscribe("CDS", "-a")).toEqual(["CDS a@1"]);
  client.ack("CDS");
  expect(client.subscribe("CDS", "-none")).toEqual(["CDS -none"]);
});

both("no names after names is nothing, not everything", (connect) => {
  const client = connect(two);
  client.subscribe("CDS", "a");
  client.ack("CDS");
  client.subscribe("CDS", "-a");
  client.answer("CDS");
  expect(client.read()).toEqual([]);
  expect(client.publish(snapshot("CDS:a@2", "CDS:b@2"))).toEqual([]);
});

both("names give exactly what they name, of every type", (connect) => {
  for (const type of ALL) {
    const client = connect(snapshot(`${type}:a@1`, `${type}:b@1`));
    expect(client.subscribe(type, "b")).toEqual([`${type} b@1`]);
    client.ack(type);
    expect(client.publish(snapshot(`${type}:a@2`, `${type}:b@1`))).toEqual([]);
    expect(client.publish(snapshot(`${type}:a@2`, `${type}:b@2`))).toEqual([`${type} b@2`]);
  }
});

both("only what changed is sent", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.subscribe("EDS", "a", "b");
  client.ack("CDS", "EDS");
  expect(client.publish(snapshot("CDS:a@2", "CDS:b@1", "EDS:a@1", "EDS:b@2"))).toEqual(["CDS a@2", "EDS b@2"]);
});

sotw("whole types always carry everything that is subscribed", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.ack("CDS");
  client.carried = 0;
  client.publish(snapshot("CDS:a@2", "CDS:b@1"));
  expect(client.carried).toBe(2);
});

both("a name that is added is answered though nothing changed", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  client.ack("EDS");
  expect(client.subscribe("EDS", "b")).toEqual(["EDS b@1"]);
});

sotw("names are a set", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a", "b");
  client.ack("EDS");
  client.store("EDS").names.delete("a");
  expect(client.subscribe("EDS", "a")).toEqual([]);
  expect([...client.store("EDS").names]).toEqual(["b", "a"]);
});

sotw("the same list of names is not looked at again", (connect) => {
  const client = connect(two);
  const names = ["a"];
  const request = { typeUrl: TypeUrl.endpoints, versionInfo: "", resourceNames: names, responseNonce: "" };
  client.store("EDS").asked = true;
  client.session.receive(request as never, 0);
  expect(client.read()).toEqual(["EDS a@1"]);
  names.push("b");
  client.session.receive({ ...request, responseNonce: [...client.nonces][0] } as never, 0);
  expect(client.read()).toEqual([]);
});

both("unsubscribe and subscribe sends again", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a", "b");
  client.ack("EDS");
  expect(client.subscribe("EDS", "-b")).toEqual([]);
  expect(client.subscribe("EDS", "b")).toEqual(["EDS b@1"]);
});

delta("a subscription to what is subscribed sends again", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a", "b");
  client.ack("EDS");
  expect(client.subscribe("EDS", "b")).toEqual(["EDS b@1"]);
});

both("what was unsubscribed is not delivered, not even from the response that is on its way", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a", "b");
  client.request("EDS", ["-b"]);
  client.ack("EDS");
  expect(client.publish(snapshot("EDS:a@1", "EDS:b@2"))).toEqual([]);
  expect([...(client.session.watches.get(TypeUrl.endpoints)?.held.keys() ?? [])]).toEqual(["a"]);
});

delta("unsubscribing what is not subscribed is ignored", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  client.ack("EDS");
  expect(client.subscribe("EDS", "-b", "-*")).toEqual([]);
  expect(client.publish(snapshot("EDS:a@2", "EDS:b@2"))).toEqual(["EDS a@2"]);
});

both("a name that does not exist is remembered and delivered when it does", (connect, variant) => {
  const client = connect(two);
  expect(client.subscribe("EDS", "later")).toEqual(variant === "sotw" ? [] : ["EDS -later"]);
  client.answer("EDS");
  expect(client.publish(snapshot("EDS:later@1"))).toEqual(["EDS later@1"]);
});

both("clusters by name appear later, and do not hold up what names others (on-demand clusters)", (connect, variant) => {
  const client = connect(snapshot("CDS:a@1", "CDS:b@1", "RDS:r@1 -> CDS:a"));
  expect(client.subscribe("CDS", "a", "later")).toEqual([variant === "sotw" ? "CDS a@1" : "CDS a@1 -later"]);
  client.ack("CDS");
  client.subscribe("RDS", "r");
  client.ack("RDS");
  expect(client.publish(snapshot("CDS:a@1", "CDS:b@1", "RDS:r@2 -> CDS:b"))).toEqual(["RDS r@2"]);
  client.ack("RDS");
  const grown = snapshot("CDS:a@1", "CDS:b@1", "CDS:later@1", "RDS:r@2 -> CDS:b");
  expect(client.publish(grown)).toEqual(["CDS later@1"]);
});

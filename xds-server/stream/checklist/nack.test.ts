import { expect } from "vitest";
import { TypeUrl } from "../../../protos/index.ts";
import { createSnapshot } from "../../cache/index.ts";
import { both, delta, two } from "./checklist.ts";
import { resource, snapshot } from "./test-client.ts";

both("a rejected version is not sent again, and the next one is", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.ack("CDS");
  client.publish(snapshot("CDS:a@bad", "CDS:b@1"));
  expect(client.nack("CDS", "Error adding/updating cluster(s) a: no")).toEqual([]);
  expect(client.publish(snapshot("CDS:a@bad", "CDS:b@1", "EDS:a@1"))).toEqual([]);
  expect(client.publish(snapshot("CDS:a@3", "CDS:b@1"))).toEqual(["CDS a@3"]);
});

both("error_detail makes a NACK, whatever the version says", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  const [nonce] = client.nonces;
  const version = client.store("EDS").version;
  expect(client.request("EDS", [], { nonce: nonce as string, version, error: "a: bad" }).kind).toBe("nack");
});

both("is kept with version, names, message and time until an ACK", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.ack("CDS");
  client.publish(snapshot("CDS:a@bad", "CDS:b@1"));
  client.nack("CDS", "Error adding/updating cluster(s) a: ConnectTimeout: value must be greater than 0s");
  const watch = client.session.watches.get(TypeUrl.cluster);
  expect(watch?.nack).toMatchObject({ resources: ["a"], code: 13, at: 1_000 });
  expect(watch?.nack?.message).toContain("ConnectTimeout");
  expect(watch?.held.get("a")?.version).toBe("1");
  client.publish(snapshot("CDS:a@1", "CDS:b@1"));
  expect(watch?.nack).toBeDefined();
  client.ack("CDS");
  expect(watch?.nack).toBeUndefined();
});

both("the good resources of a rejected response count as accepted", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.nack("CDS", "a: bad");
  const watch = client.session.watches.get(TypeUrl.cluster);
  expect([...(watch?.held.keys() ?? [])]).toEqual(["b"]);
  expect(client.has("CDS")).toBe("b@1");
});

both("of one resource is not cleared by the ACK of another, but by its end", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a", "b");
  client.ack("EDS");
  client.publish(snapshot("EDS:a@bad", "EDS:b@1"));
  client.nack("EDS", "malformed");
  client.publish(snapshot("EDS:a@bad", "EDS:b@2"));
  client.ack("EDS");
  const watch = client.session.watches.get(TypeUrl.endpoints);
  expect(watch?.nack?.resources).toEqual(["a"]);
  client.publish(snapshot("EDS:b@2"));
  expect(watch?.nack).toBeUndefined();
});

both("leaves the other types alone", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.subscribe("EDS", "a");
  client.ack("CDS", "EDS");
  client.publish(snapshot("CDS:a@bad", "CDS:b@1", "EDS:a@1"));
  client.nack("CDS", "a");
  expect(client.publish(snapshot("CDS:a@bad", "CDS:b@1", "EDS:a@2"))).toEqual(["EDS a@2"]);
});

delta(
  "a removal in a response that was rejected as a whole is told again with the next, and not by itself",
  (connect) => {
    const client = connect(two);
    client.subscribe("EDS", "a", "b");
    client.ack("EDS");
    expect(client.publish(snapshot("EDS:a@bad"))).toEqual(["EDS a@bad -b"]);
    expect(client.nack("EDS", "malformed")).toEqual([]);
    expect(client.publish(snapshot("EDS:a@3"))).toEqual(["EDS a@3 -b"]);
    client.ack("EDS");
    expect(client.publish(snapshot("EDS:a@4"))).toEqual(["EDS a@4"]);
  },
);

both("shows no secret of what was rejected", (connect) => {
  const client = connect(createSnapshot([{ ...resource("SDS:s@1"), secrets: ["-----KEY-----"] }]));
  client.subscribe("SDS", "s");
  client.nack("SDS", "s: cannot load -----KEY-----");
  expect(client.session.watches.get(TypeUrl.secret)?.nack?.message).toBe("s: cannot load (hidden)");
});

both("shows no secret of a configuration that it quotes, however often", (connect) => {
  const secret = 'sk-"quoted"';
  const once = JSON.stringify(secret);
  const client = connect(createSnapshot([{ ...resource("ECDS:f@1"), secrets: [secret] }]));
  client.subscribe("ECDS", "f");
  client.nack("ECDS", `f: no good: {"value":${once}}, configuration: ${JSON.stringify(once)}`);
  expect(client.session.watches.get(TypeUrl.extensionConfig)?.nack?.message).toBe(
    'f: no good: {"value":"(hidden)"}, configuration: "\\"(hidden)\\""',
  );
});

delta("the removals of a response that was rejected by name count as heard", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.ack("CDS");
  expect(client.publish(snapshot("CDS:a@bad"))).toEqual(["CDS a@bad -b"]);
  client.nack("CDS", "Error adding/updating cluster(s) a: no");
  expect([...(client.session.watches.get(TypeUrl.cluster)?.held.keys() ?? [])]).toEqual(["a"]);
  expect(client.publish(snapshot("CDS:a@3"))).toEqual(["CDS a@3"]);
});

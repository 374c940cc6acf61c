import { describe, expect, it } from "vitest";
import { encode } from "./codec.ts";
import { messageSchema } from "./schema.ts";
import { registeredMessages } from "./type-urls.ts";

/** Messages by name, whoever says it. */

describe("the schema of a message", () => {
  it("has its fields by both names", () => {
    const schema = messageSchema("envoy.config.cluster.v3.Cluster");
    expect(schema?.get("connect_timeout")).toEqual({
      name: "connect_timeout",
      jsonName: "connectTimeout",
      cardinality: "one",
      type: { kind: "message", message: "google.protobuf.Duration" },
      oneof: undefined,
    });
    expect(schema?.get("connectTimeout")).toBe(schema?.get("connect_timeout"));
    expect(schema?.get("type")).toMatchObject({ type: { kind: "enum" }, oneof: "cluster_discovery_type" });
    expect(schema?.get("typed_extension_protocol_options")).toMatchObject({ cardinality: "map" });
    expect(schema?.get("health_checks")).toMatchObject({ cardinality: "many" });
    expect(schema?.get("no_such_field")).toBeUndefined();
  });

  it.each([
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "envoy.config.route.v3.RouteAction.HashPolicy",
    "xds.type.v3.TypedStruct",
    "google.protobuf.Struct",
  ])("%s is found by its package", (message) => {
    expect(messageSchema(message)?.size).toBeGreaterThan(0);
  });

  it("names that are none, and messages whose files lack something, do no harm to others", () => {
    for (const message of [
      "",
      "Cluster",
      "envoy.Nope",
      "envoy.config.cluster.v3.Nope",
      "../../../etc.X",
      "a/b.C",
      "__proto__.X",
      "constructor",
      "toString",
      // Their imports are not in the npm package.
      "envoy.config.accesslog.v2.HttpGrpcAccessLogConfig",
      "envoy.config.bootstrap.v2.Bootstrap",
      "envoy.config.metrics.v2.StatsConfig",
      "envoy.config.grpc_credential.v2alpha.FileBasedMetadataConfig",
    ])
      expect([message, messageSchema(message)]).toEqual([message, undefined]);
    // Beside one of these.
    expect(messageSchema("envoy.config.grpc_credential.v2alpha.AwsIamConfig")?.has("service_name")).toBe(true);
    for (const message of registeredMessages()) expect(encode(message, {})).toBeInstanceOf(Uint8Array);
    expect(messageSchema("envoy.config.bootstrap.v3.Bootstrap")?.has("node")).toBe(true);
  });
});

import { describe, expect, it } from "vitest";
import { decode, encode, encodeAny, toJson } from "./codec.ts";
import { messageType } from "./root.ts";
import { registeredMessages, TypeUrl } from "./type-urls.ts";

const WASM = "envoy.extensions.filters.http.wasm.v3.Wasm";

describe("codec", () => {
  it("knows every registered message", () => {
    for (const name of registeredMessages()) expect(messageType(name).name).toBe(name.slice(name.lastIndexOf(".") + 1));
  });

  it("round-trips a message with nested Any, wrappers and durations", () => {
    const cluster = {
      name: "outbound|80||a.test",
      type: "EDS",
      connect_timeout: { seconds: 5, nanos: 250_000_000 },
      typed_extension_protocol_options: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
          explicit_http_config: { http2_protocol_options: { max_concurrent_streams: { value: 7 } } },
        },
      },
    };
    expect(toJson("envoy.config.cluster.v3.Cluster", encode("envoy.config.cluster.v3.Cluster", cluster))).toEqual(
      cluster,
    );
  });

  it("writes fields in number order with the numbers of the wire format", () => {
    // 0a = field 1 (config), 0a = field 1 (name) "n", 38 01 = field 7 varint 1 (failure_policy FAIL_RELOAD),
    // 4a 02 08 01 = field 9 BoolValue{1: true} (allow_on_headers_stop_iteration).
    const bytes = encode(WASM, {
      config: { name: "n", failure_policy: "FAIL_RELOAD", allow_on_headers_stop_iteration: { value: true } },
    });
    expect(Buffer.from(bytes).toString("hex")).toBe("0a090a016e38014a020801");
  });

  it("packs an Any as type URL and value", () => {
    // 0a 33: field 1, 51 bytes of type URL; 12 03: field 2, the message 0a 01 78 = {1: "x"}.
    const hex = Buffer.from(encodeAny(TypeUrl.cluster, { name: "x" })).toString("hex");
    expect(hex).toBe(`0a33${Buffer.from(TypeUrl.cluster).toString("hex")}12030a0178`);
  });

  it.each([
    ["an unknown field", { nmae: "x" }, "nmae: no such field"],
    ["an unknown nested field", { connect_timeout: { secs: 1 } }, "connect_timeout.secs: no such field"],
    ["an unknown enum name", { type: "EDSS" }, "EDSS is not a value of"],
    ["a string for a number", { connect_timeout: { seconds: "soon" } }, "expected int64"],
    ["a scalar for a list", { filters: {} }, "a repeated field is an array"],
    ["__proto__ as a field", JSON.parse('{"__proto__": {"a": 1}}') as object, "__proto__: no such field"],
  ])("refuses %s", (_what, object, message) => {
    expect(() => encode("envoy.config.cluster.v3.Cluster", object as never)).toThrow(message);
  });

  it("refuses an Any of an unregistered type", () => {
    expect(() =>
      encode("envoy.config.core.v3.TypedExtensionConfig", {
        name: "a",
        typed_config: { "@type": "type.googleapis.com/a.B" },
      }),
    ).toThrow("not registered");
  });

  it("keeps bytes and leaves absent fields absent when decoding", () => {
    const bytes = encode("envoy.service.discovery.v3.DiscoveryRequest", { type_url: "t", resource_names: ["a", "b"] });
    expect(decode("envoy.service.discovery.v3.DiscoveryRequest", bytes)).toEqual({
      type_url: "t",
      resource_names: ["a", "b"],
    });
  });
});

import { cluster } from "../../../envoy/harness/index.ts";
import { goProgram } from "../helpers.ts";
import { models } from "../loads.ts";
import { type Arm, type } from "./arm.ts";

const clusterName = "ext_proc";

/** An external processor in Go (bench/envoy/ext_proc), one gRPC stream per request; its CPU time is counted too. */
export const extProc: Arm = {
  name: "ext_proc",
  does: "ext_proc with a Go server (gjson): request body BUFFERED, response body STREAMED, request headers because routes are fixed early without them; the server sets the route header and sends usage back as dynamic metadata",
  routes: true,
  usage: { kind: "metadata" },
  httpFilters: () => [
    {
      name: "envoy.filters.http.ext_proc",
      typed_config: {
        "@type": type("extensions.filters.http.ext_proc.v3.ExternalProcessor"),
        grpc_service: { envoy_grpc: { cluster_name: clusterName }, timeout: "30s" },
        message_timeout: "10s",
        processing_mode: {
          // With SKIP the headers pass before the body is complete, and the route is fixed.
          request_header_mode: "SEND",
          request_body_mode: "BUFFERED",
          request_trailer_mode: "SKIP",
          response_header_mode: "SKIP",
          response_body_mode: "STREAMED",
          response_trailer_mode: "SKIP",
        },
        metadata_options: { receiving_namespaces: { untyped: ["llm"] } },
      },
    },
  ],
  clusters: ({ addresses }) => [cluster({ name: clusterName, targets: [addresses.ext_proc ?? ""], http2: true })],
  helpers: [
    goProgram("ext_proc", [
      "-models",
      JSON.stringify(Object.fromEntries(models.map(({ model, route }) => [model, route]))),
    ]),
  ],
};

/**
 * Foreign functions that Envoy registers. Those that need Envoy's own machinery (CEL, signatures) answer UNIMPLEMENTED;
 * a test that needs one sets its own: `host.foreign.set("expr_evaluate", (args) => ({ status: 0, result }))`.
 */
import { deflateSync, inflateSync } from "node:zlib";
import { MapType, Status } from "./abi.ts";
import type { Context } from "./context.ts";

export type ForeignFunction = (args: Uint8Array, context: Context) => { status: number; result?: Uint8Array };

const unavailable: ForeignFunction = () => ({ status: Status.Unimplemented });

export function foreignFunctions(): Map<string, ForeignFunction> {
  return new Map<string, ForeignFunction>([
    ["compress", (args) => ({ status: Status.Ok, result: new Uint8Array(deflateSync(args)) })],
    [
      "uncompress",
      (args) => {
        try {
          return { status: Status.Ok, result: new Uint8Array(inflateSync(args)) };
        } catch {
          return { status: Status.SerializationFailure };
        }
      },
    ],
    [
      "clear_route_cache",
      (_args, context) => {
        context.headersModified(MapType.RequestHeaders);
        return { status: Status.Ok };
      },
    ],
    ["set_envoy_filter_state", () => ({ status: Status.Ok })],
    ["declare_property", () => ({ status: Status.Ok })],
    ["verify_signature", unavailable],
    ["sign", unavailable],
    ["expr_create", unavailable],
    ["expr_evaluate", unavailable],
    ["expr_delete", unavailable],
  ]);
}

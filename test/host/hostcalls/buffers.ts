/** Bodies, configurations and received messages. */
import { BufferType, Status } from "../abi.ts";
import { ByteBuffer, setBufferBytes } from "../buffers.ts";
import type { BufferView, Context } from "../context.ts";
import type { Vm } from "../vm.ts";
import { bytesAt, type Hostcall, word, written } from "./hostcall.ts";

/** Envoy has one buffer object per context, which each question points elsewhere; CallData is whatever it pointed at last. */
function source(vm: Vm, context: Context, type: number): BufferView | undefined {
  const found = find(vm, context, type);
  if (found && type !== BufferType.HttpCallResponseBody) context.lastBuffer = { ...found, writable: false };
  return found;
}

function find(vm: Vm, context: Context, type: number): BufferView | undefined {
  const fixed = (bytes: Uint8Array | undefined): BufferView | undefined =>
    bytes && { buffer: new ByteBuffer(bytes), writable: false };
  switch (type) {
    case BufferType.HttpRequestBody:
    case BufferType.HttpResponseBody: {
      const buffer = context.body(type);
      // Without a body Envoy still has a (null) buffer object: length 0, writes are refused.
      return buffer ? { buffer, writable: true } : fixed(new Uint8Array());
    }
    case BufferType.DownstreamData:
    case BufferType.UpstreamData:
      return fixed(new Uint8Array());
    case BufferType.CallData:
      return context.lastBuffer;
    case BufferType.VmConfiguration:
      return fixed(vm.identity.configuration);
    case BufferType.PluginConfiguration:
      return context.root.configuring ? fixed(context.root.plugin?.configuration) : undefined;
    case BufferType.HttpCallResponseBody:
      return context.root.httpResponse?.headers
        ? { buffer: context.root.httpResponse.body ?? new ByteBuffer(), writable: false }
        : undefined;
    case BufferType.GrpcReceiveBuffer:
      return { buffer: context.root.grpc?.body ?? new ByteBuffer(), writable: false };
    default:
      return undefined;
  }
}

export const bufferCalls: Record<string, Hostcall> = {
  proxy_get_buffer_bytes(vm, context, args) {
    const [type, start, max] = [word(args, 0), word(args, 1), word(args, 2)];
    if (type > BufferType.CallData) return Status.BadArgument;
    const found = source(vm, context, type);
    if (!found) return Status.NotFound;
    return written(vm.give(found.buffer.view(start, max), word(args, 3), word(args, 4)));
  },
  proxy_get_buffer_status(vm, context, args) {
    const type = word(args, 0);
    if (type > BufferType.CallData) return Status.BadArgument;
    const found = source(vm, context, type);
    if (!found) return Status.NotFound;
    return written(vm.memory.setU32(word(args, 1), found.buffer.length) && vm.memory.setU32(word(args, 2), 0));
  },
  proxy_set_buffer_bytes(vm, context, args) {
    const [type, start, length] = [word(args, 0), word(args, 1), word(args, 2)];
    if (type > BufferType.CallData) return Status.BadArgument;
    const found = source(vm, context, type);
    if (!found) return Status.NotFound;
    const data = bytesAt(vm, args, 3);
    if (!data) return Status.InvalidMemoryAccess;
    return found.writable ? setBufferBytes(found.buffer, start, length, data.slice()) : Status.BadArgument;
  },
};

import { Status } from "../abi.ts";
import { bytesAt, type Hostcall, textAt, word, written } from "./hostcall.ts";

export const propertyCalls: Record<string, Hostcall> = {
  proxy_get_property(vm, context, args) {
    const path = textAt(vm, args, 0);
    if (path === undefined) return Status.InvalidMemoryAccess;
    // No part at all selects the empty value, which cannot be serialised.
    if (path === "") return Status.SerializationFailure;
    // A trailing separator is ignored, as in Envoy's loop over the parts.
    const value = context.property(path.replace(/\0$/, "").split("\0"));
    return value ? written(vm.give(value, word(args, 2), word(args, 3))) : Status.NotFound;
  },
  proxy_set_property(vm, context, args) {
    const path = textAt(vm, args, 0);
    const value = bytesAt(vm, args, 2);
    if (path === undefined || !value) return Status.InvalidMemoryAccess;
    return context.setProperty(path, value.slice()) ? Status.Ok : Status.NotFound;
  },
};

/** Header and trailer maps. */
import { MapType, Status } from "../abi.ts";
import { type HeaderMap, parsePairs, serializePairs } from "../header-map.ts";
import { bytesAt, type Hostcall, textAt, word, written } from "./hostcall.ts";

const valid = (type: number): boolean => type <= MapType.HttpCallResponseTrailers;

/** A change of one map: the memory is checked before the map, as in Envoy. */
function change(apply: (map: HeaderMap, key: string, value: string) => void, hasValue: boolean): Hostcall {
  return (vm, context, args) => {
    const type = word(args, 0);
    if (!valid(type)) return Status.BadArgument;
    const key = textAt(vm, args, 1);
    const value = hasValue ? textAt(vm, args, 3) : "";
    if (key === undefined || value === undefined) return Status.InvalidMemoryAccess;
    const map = context.headerMap(type, true);
    if (!map) return Status.BadArgument;
    apply(map, key, value);
    context.headersModified(type);
    return Status.Ok;
  };
}

export const headerCalls: Record<string, Hostcall> = {
  proxy_get_header_map_size(vm, context, args) {
    const type = word(args, 0);
    const map = valid(type) ? context.headerMap(type, true) : undefined;
    return map ? written(vm.memory.setU32(word(args, 1), map.byteSize)) : Status.BadArgument;
  },
  proxy_get_header_map_pairs(vm, context, args) {
    const type = word(args, 0);
    if (!valid(type)) return Status.BadArgument;
    const map = context.headerMap(type, false);
    const bytes = map && map.size > 0 ? serializePairs(map.pairs()) : new Uint8Array();
    return written(vm.give(bytes, word(args, 1), word(args, 2)));
  },
  proxy_set_header_map_pairs(vm, context, args) {
    const type = word(args, 0);
    if (!valid(type)) return Status.BadArgument;
    const bytes = bytesAt(vm, args, 1);
    if (!bytes) return Status.InvalidMemoryAccess;
    const map = context.headerMap(type, true);
    if (!map) return Status.BadArgument;
    const pairs = parsePairs(bytes);
    map.clear();
    for (const [name, value] of pairs) map.add(name, value);
    context.headersModified(type);
    return Status.Ok;
  },
  proxy_get_header_map_value(vm, context, args) {
    const type = word(args, 0);
    if (!valid(type)) return Status.BadArgument;
    const key = textAt(vm, args, 1);
    if (key === undefined) return Status.InvalidMemoryAccess;
    const map = context.headerMap(type, false);
    if (!map) return context.logging ? Status.NotFound : Status.BadArgument;
    const value = map.get(key);
    if (value === undefined) return Status.NotFound;
    return written(vm.give(new Uint8Array(Buffer.from(value, "latin1")), word(args, 3), word(args, 4)));
  },
  proxy_add_header_map_value: change((map, key, value) => map.add(key, value), true),
  proxy_replace_header_map_value: change((map, key, value) => map.replace(key, value), true),
  proxy_remove_header_map_value: change((map, key) => map.remove(key), false),
};

/** Time zones as people write them, read as the filter takes them. */
import { type Cursor, fail } from "../cursor.ts";
import { translateTimeZone } from "../iana-time-zone.ts";
import { parsePosixTimeZone } from "../posix-time-zone.ts";
import { text } from "../scalars.ts";

const OFFSET = /^(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)$/;
const FORMS =
  "Write Z, an offset from -14:00 to +14:00 such as +02:00, a name such as Europe/Berlin, or a POSIX time zone such as CET-1CEST,M3.5.0,M10.5.0/3.";

const shortText = text({ max: 64 });

/** `Z`, an offset, a POSIX time zone, or a name, which becomes one of them. */
export function timeZone(cursor: Cursor): string | undefined {
  const value = shortText(cursor);
  if (value === undefined || OFFSET.test(value)) return value;
  const posix = parsePosixTimeZone(value);
  if (!("fault" in posix)) return value;
  const translation = translateTimeZone(value);
  if ("posix" in translation) return translation.posix;
  const shown = JSON.stringify(value);
  if (translation.fault === "unknown")
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${shown} ${posix.fault}, and no name of a time zone`, FORMS);
  return fail(
    cursor,
    "TM_CONFIG_INVALID_VALUE",
    `the clocks of ${shown} follow no rule for every year, as Envoy needs one`,
    "Write a fixed offset such as +01:00. Or let the ledger keep the budget, which knows such zones: mode strict, with override: false in service.",
  );
}

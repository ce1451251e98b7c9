const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const checkAlphabet = `${alphabet}*~$=U`;

/** Crockford base32 of the first `bits` bits, upper case, most significant first. `bits` is a multiple of five. */
export function encodeBase32(bytes: Uint8Array, bits: number): string {
  let value = leadingBits(bytes, bits);
  let text = '';
  for (let done = 0; done < bits; done += 5) {
    text = (alphabet[Number(value & 31n)] ?? '') + text;
    value >>= 5n;
  }
  return text;
}

/** Crockford's check symbol: the number modulo 37. It finds every single wrong and every swapped pair of symbols. */
export function checkSymbol(text: string): string {
  let remainder = 0;
  for (const symbol of text) remainder = (remainder * 32 + alphabet.indexOf(symbol)) % 37;
  return checkAlphabet[remainder] ?? '';
}

/** What a person typed, as we would have written it: upper case, no separators, look-alikes mended. */
export function normaliseBase32(typed: string): string {
  return typed.toUpperCase().replaceAll(/[\s-]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');
}

function leadingBits(bytes: Uint8Array, bits: number): bigint {
  if (bits % 5 !== 0 || bytes.length * 8 < bits) {
    throw new RangeError(`${bits} bits can not be taken from ${bytes.length} bytes in steps of five`);
  }
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value >> BigInt(bytes.length * 8 - bits);
}

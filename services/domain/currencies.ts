/**
 * The currencies that new gifts and top-ups may have, by their minor digits: ISO 4217 list one as of 2026-01-01, without the
 * codes of funds and units of account (CLF, XDR, …), metals (XAU, …), tests (XTS) and no currency (XXX). Nobody can spend those.
 */
const currentByDigits: Readonly<Record<number, string>> = {
  0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF',
  2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE
    CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW
    KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK
    PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS
    UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`,
  3: 'BHD IQD JOD KWD LYD OMR TND',
};

/** The date of the list. */
export const currencyListDate = '2026-01-01';

/** What amounts may be stored in from before a code left the list, where it has not two digits. */
const formerDigits: Readonly<Record<string, number>> = { CLF: 4, UYW: 4, UYI: 0, XDR: 0, XSU: 0, XUA: 0 };

const digitsOf = new Map(
  Object.entries(currentByDigits).flatMap(([digits, codes]) =>
    codes.split(/\s+/).map((code) => [code, Number(digits)] as const),
  ),
);

export const currencies: readonly string[] = [...digitsOf.keys()].toSorted();

/** By ISO 4217. Intl follows habit instead: it gives the forint no decimals, and amounts would read a hundredfold. */
export function minorDigits(currency: string): number {
  return digitsOf.get(currency) ?? formerDigits[currency] ?? 2;
}

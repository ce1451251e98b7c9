import { type KeyObject, randomBytes } from 'node:crypto';
import { domainToASCII } from 'node:url';
import { getAddress } from 'viem/utils';
import type { RecipientsTable } from '../../database/schema.ts';
import { PermanentFailure } from '../failure-classes.ts';
import { type Keyring, seal, unseal } from './keyring.ts';

/** Who gets a gift, and what the sender tells them: everything here is personal data and is kept sealed. */
export type Recipient = (
  | { kind: 'email'; email: string }
  /** address in EIP-55 form, chain by its EIP-155 number */
  | { kind: 'wallet'; address: string; chainId: number }
) & { message?: string; senderName?: string };

/** The recipient as a row: its own data key, wrapped by the keyring; what it says sealed under that key. */
export type SealedRecipient = Pick<
  RecipientsTable,
  'id' | 'kind' | 'blind_index' | 'masked' | 'sealed' | 'wrapped_key' | 'keyring_key_id'
>;

export function sealRecipient(keyring: Keyring, uuid: string, recipient: Recipient): SealedRecipient {
  const dataKey = randomBytes(32);
  return {
    id: uuid,
    kind: recipient.kind,
    blind_index: keyring.hash('blind-index', identityOf(recipient)),
    masked: maskRecipient(recipient),
    sealed: seal(dataKey, Buffer.from(JSON.stringify(recipient)), uuid),
    wrapped_key: seal(wrappingKey(keyring, keyring.currentKeyId), dataKey, uuid),
    keyring_key_id: keyring.currentKeyId,
  };
}

/** @throws PermanentFailure when the recipient was erased, Error when the keyring lacks the key that wrapped its data key */
export function openRecipient(
  keyring: Keyring,
  row: Omit<SealedRecipient, 'blind_index' | 'masked'>,
): Recipient {
  if (!row.wrapped_key) throw new PermanentFailure('recipient_erased', 'the recipient was erased');
  const dataKey = unseal(wrappingKey(keyring, row.keyring_key_id), row.wrapped_key, row.id);
  return JSON.parse(unseal(dataKey, row.sealed, row.id).toString()) as Recipient;
}

/** `a•••@e•••.com`, `eip155:1:0x52…4c1A`: enough to recognise one's own recipient, too little to reach anybody. */
export function maskRecipient(recipient: Recipient): string {
  if (recipient.kind === 'wallet') {
    const { address, chainId } = recipient;
    return `eip155:${chainId}:${address.slice(0, 4)}…${address.slice(-4)}`;
  }
  const at = recipient.email.lastIndexOf('@');
  const domain = recipient.email.slice(at + 1);
  return `${recipient.email.slice(0, 1)}•••@${domain.slice(0, 1)}•••${domain.slice(domain.lastIndexOf('.'))}`;
}

/** One person, one text: equal for every spelling that reaches the same mailbox or wallet. */
function identityOf(recipient: Recipient): string {
  if (recipient.kind === 'wallet') return `wallet:${getAddress(recipient.address)}`;
  const at = recipient.email.lastIndexOf('@');
  const local = recipient.email.slice(0, at).normalize('NFKC').toLowerCase();
  return `email:${local}@${domainToASCII(recipient.email.slice(at + 1))}`;
}

function wrappingKey(keyring: Keyring, keyId: string): KeyObject {
  const key = keyring.wrappingKeys.get(keyId);
  if (!key)
    throw new Error(`the keyring has no key "${keyId}", which sealed a recipient; put it back into "keys"`);
  return key;
}

import { expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { SQSClient } from '@aws-sdk/client-sqs';
import { fromUUID } from 'typeid-js';
test('x', () => { const a: number = 1; expect(a).toBe(1); expect(SQSClient).toBeDefined(); expect(sql).toBeDefined(); expect(fromUUID).toBeDefined(); expect(process.version).toMatch(/v24/) });

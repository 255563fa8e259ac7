"""Two accounts of PJSUA register, one calls the other, who answers; run by test_stock_clients.py.

    python pjsua_call.py TRANSPORT PROXY DOMAIN CALLER CALLED PASSWORD

It prints a line for each registration and each state of each call, and ends with 0 if both sides had the call.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pjsua2 as pj

PATIENCE = 10.0
TRANSPORTS = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP, "tls": pj.PJSIP_TRANSPORT_TLS}


def tell(*words: object) -> None:
    print(*words, flush=True)


class Call(pj.Call):
    """A call that tells its states; `states` are those it has had."""

    def __init__(self, account: Account, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.user = account.user
        self.states: list[str] = []

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        info = self.getInfo()
        self.states.append(info.stateText)
        tell(self.user, "call", info.stateText, info.lastStatusCode)


class Account(pj.Account):
    """A user who registers, and answers whoever calls."""

    def __init__(self, user: str) -> None:
        super().__init__()
        self.user = user
        self.calls: list[Call] = []

    def onRegState(self, prm: pj.OnRegStateParam) -> None:
        tell(self.user, "registration", prm.code, prm.reason)

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        call = Call(self, prm.callId)
        self.calls.append(call)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)


def wait(endpoint: pj.Endpoint, what: str, done: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {PATIENCE:g} s")
        endpoint.libHandleEvents(20)


def main(transport: str, proxy: str, domain: str, caller: str, called: str, password: str) -> list[Account]:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    endpoint.libInit(config)
    endpoint.audDevManager().setNullDev()
    listening = pj.TransportConfig()
    listening.boundAddress = "127.0.0.1"
    endpoint.transportCreate(TRANSPORTS[transport], listening)
    endpoint.libStart()
    accounts = []
    for user in (caller, called):
        account = Account(user)
        settings = pj.AccountConfig()
        settings.idUri = f"sip:{user}@{domain}"
        settings.regConfig.registrarUri = f"sip:{domain};transport={transport}"
        settings.sipConfig.proxies.append(f"sip:{proxy};transport={transport};lr")
        settings.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))
        account.create(settings)
        accounts.append(account)
    alice, bob = accounts
    wait(endpoint, "registration", lambda: all(account.getInfo().regIsActive for account in accounts))
    call = Call(alice)
    alice.calls.append(call)
    call.makeCall(f"sip:{called}@{domain}", pj.CallOpParam(True))
    wait(endpoint, "call", lambda: bob.calls and "CONFIRMED" in call.states and "CONFIRMED" in bob.calls[0].states)
    call.hangup(pj.CallOpParam())
    wait(endpoint, "end", lambda: all("DISCONNECTED" in one.states for one in (call, bob.calls[0])))
    for account in accounts:
        account.setRegistration(False)
    wait(endpoint, "end of registration", lambda: not any(account.getInfo().regIsActive for account in accounts))
    return accounts


if __name__ == "__main__":
    # The binding takes down what is left in an order that its own assertions do not allow: keep all of it.
    try:
        kept = main(*sys.argv[1:])
        os._exit(0)
    except Exception as error:
        tell(error)
        os._exit(1)

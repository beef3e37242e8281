"""One call placed by pjsua2, told on stdout as it happens: one JSON object a line.

The only argument is a JSON object:
  uri         whom to call
  transport   tcp | tls
  ca          PEM file: the server's certificate must be signed by it (tls)
  srtp        true: offers RTP/SAVP and nothing else
  play        WAV to say, from the confirmation on, once
  record      WAV of what is heard
  referred    what a REFER is answered: a refusal, or 202 to call whom it names; left out: 603
  record_referred  as record, of the call that a REFER has made
  reinvite    true: a re-INVITE at once after the confirmation
  steps       a list of ["wait", seconds] | ["keys", "12#"] | ["hold"] | ["resume"] | ["hangup"] | ["await-end"]
              | ["follow"]: until whom a REFER names has answered and this call is over; what comes next is done in the other
  deadline    seconds after which the call is given up

Exit code 0: the steps were done and every call that they were done in is over.
"""

import json
import sys
import time

import pjsua2 as pj

BEGAN = time.monotonic()
DIRECTIONS = {
    pj.PJMEDIA_DIR_NONE: "inactive",
    pj.PJMEDIA_DIR_ENCODING: "sendonly",
    pj.PJMEDIA_DIR_DECODING: "recvonly",
    pj.PJMEDIA_DIR_ENCODING_DECODING: "sendrecv",
}


def tell(event, **details):
    print(json.dumps({"at": round(time.monotonic() - BEGAN, 3), "event": event, **details}), flush=True)


class Conversation(pj.Call):
    def __init__(self, account, plan):
        super().__init__(account)
        self.account = account
        self.plan = plan
        self.referred = None
        self.confirmed = False
        self.ended = False
        self.player = None
        self.recorder = None
        self.medium = None

    def onCallState(self, _prm):
        info = self.getInfo()
        tell("state", state=info.stateText, code=info.lastStatusCode, reason=info.lastReason)
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED and not self.confirmed:
            self.confirmed = True
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.ended = True

    def onCallMediaState(self, _prm):
        # Kept in a variable: the media belong to it.
        info = self.getInfo()
        for index, medium in enumerate(info.media):
            held = medium.status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD
            tell("media", index=index, status=medium.status, held=held, direction=DIRECTIONS.get(medium.dir))
            # Who is held is still played to.
            heard = held or medium.status == pj.PJSUA_CALL_MEDIA_ACTIVE
            if medium.type == pj.PJMEDIA_TYPE_AUDIO and heard:
                self.connect(index)

    def connect(self, index):
        stream = self.getStreamInfo(index)
        tell("stream", codec=stream.codecName, profile=stream.proto)
        # The slot of the medium is the same again after a re-INVITE, but its connections may be gone.
        self.medium = self.getAudioMedia(index)
        if self.player is None and self.plan.get("play"):
            self.player = pj.AudioMediaPlayer()
            self.player.createPlayer(self.plan["play"], pj.PJMEDIA_FILE_NO_LOOP)
        if self.recorder is None and self.plan.get("record"):
            self.recorder = pj.AudioMediaRecorder()
            self.recorder.createRecorder(self.plan["record"])
        if self.player is not None:
            self.player.startTransmit(self.medium)
        if self.recorder is not None:
            self.medium.startTransmit(self.recorder)

    def onCallTransferRequest(self, prm):
        answer = self.plan.get("referred", 603)
        tell("refer", to=prm.dstUri, answer=answer)
        prm.statusCode = answer
        if answer < 300:
            # Kept here: the library has no more than a pointer.
            self.referred = Conversation(self.account, {**self.plan, "record": self.plan["record_referred"]})
            prm.newCall = self.referred

    def onDtmfDigit(self, prm):
        tell("digit", key=prm.digit)

    def onStreamDestroyed(self, prm):
        stat = self.getStreamStat(prm.streamIdx).rtcp
        tell(
            "stream-over",
            received=stat.rxStat.pkt,
            lost=stat.rxStat.loss,
            discarded=stat.rxStat.discard,
            sent=stat.txStat.pkt,
        )


class Endless(Exception):
    pass


class Pump:
    """Everything happens on this thread: pjsua2 keeps none of its own, so no callback races with a step."""

    def __init__(self, endpoint, deadline):
        self.endpoint = endpoint
        self.deadline = BEGAN + deadline

    def until(self, done, seconds=None):
        limit = self.deadline if seconds is None else min(self.deadline, time.monotonic() + seconds)
        while not done() and time.monotonic() < limit:
            self.endpoint.libHandleEvents(20)
        if time.monotonic() >= self.deadline:
            raise Endless


def run_steps(pump, call, steps):
    """Returns the call that it ended in."""
    for step, *arguments in steps:
        if call.ended:
            break
        if step == "wait":
            pump.until(lambda: call.ended, arguments[0])
        elif step == "keys":
            call.dialDtmf(arguments[0])
        elif step == "hold":
            call.setHold(pj.CallOpParam(True))
        elif step == "resume":
            parameters = pj.CallOpParam(True)
            parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(parameters)
        elif step == "hangup":
            call.hangup(pj.CallOpParam(True))
            pump.until(lambda: call.ended)
        elif step == "await-end":
            pump.until(lambda: call.ended)
        elif step == "follow":
            pump.until(lambda: call.ended and call.referred is not None and call.referred.confirmed)
            call = call.referred
        else:
            raise ValueError(f"no step is called {step}")
    return call


def start_endpoint(plan):
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = 5
    config.logConfig.consoleLevel = 0
    config.logConfig.filename = plan["log"]
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    config.medConfig.clockRate = 8000
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    endpoint.libInit(config)
    endpoint.audDevManager().setNullDev()
    transport = pj.TransportConfig()
    transport.boundAddress = "127.0.0.1"
    kind = pj.PJSIP_TRANSPORT_TCP
    if plan["transport"] == "tls":
        kind = pj.PJSIP_TRANSPORT_TLS
        transport.tlsConfig.verifyServer = True
        transport.tlsConfig.CaListFile = plan["ca"]
    endpoint.transportCreate(kind, transport)
    endpoint.libStart()
    return endpoint


def open_account(plan):
    config = pj.AccountConfig()
    config.idUri = f"sip:+911234567890@127.0.0.1;transport={plan['transport']}"
    config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    config.mediaConfig.transportConfig.port = plan["rtp_port"]
    config.mediaConfig.srtpUse = pj.PJMEDIA_SRTP_MANDATORY if plan.get("srtp") else pj.PJMEDIA_SRTP_DISABLED
    # 1: SRTP wants TLS for the first hop, so that no key is sent in the clear.
    config.mediaConfig.srtpSecureSignaling = 1 if plan["transport"] == "tls" else 0
    account = pj.Account()
    account.create(config)
    return account


def main():
    plan = json.loads(sys.argv[1])
    endpoint = start_endpoint(plan)
    account = open_account(plan)
    call = Conversation(account, plan)
    pump = Pump(endpoint, plan["deadline"])
    code = 1
    try:
        call.makeCall(plan["uri"], pj.CallOpParam(True))
        pump.until(lambda: call.confirmed or call.ended)
        if plan.get("reinvite") and call.confirmed:
            call.reinvite(pj.CallOpParam(True))
        last = run_steps(pump, call, plan["steps"])
        code = 0 if all(each.confirmed and each.ended for each in (call, last)) else 1
    except Endless:
        tell("deadline")
    finally:
        # In this order, or the library complains about what is still in use.
        for each in filter(None, (call, call.referred)):
            each.player = each.recorder = each.medium = each.account = None
        call.referred = last = each = None
        del call, account
        endpoint.libDestroy()
    sys.exit(code)


main()

set step=certificates
call :say step certificates
certutil -addstore -f Root "%here%driver\test-root.cer" >>"%log%" 2>&1 || goto :failed
certutil -addstore -f TrustedPublisher "%here%driver\test-signer.cer" >>"%log%" 2>&1 || goto :failed

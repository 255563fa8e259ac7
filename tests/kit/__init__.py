"""What the tests that start servers share: ports, SIP texts, user agents, servers, scenes."""
